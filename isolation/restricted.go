package isolation

import (
	"embed"
	"slices"
)

//go:embed restricted/*.py restricted/within/*.py
var restrictedFiles embed.FS

// restrictedPolicy is a mode's policy whose jobs are restricted: within names the file that
// takes the place of how that policy runs a job.
func restrictedPolicy(base [][2]string, within string) [][2]string {
	return slices.Concat(base,
		policyFiles(restrictedFiles, "restricted/*.py"),
		policyFiles(restrictedFiles, "restricted/within/"+within))
}

var restricted = Mode{
	Name:       "restricted",
	Summary:    "reset, and jobs in a restricted Python that reaches no file, process or module but those of a list; needs RestrictedPython",
	Policy:     restrictedPolicy(reset.Policy, "reset.py"),
	InProcess:  true,
	Restricted: true,
	Layers:     slices.Concat([]string{"no dangerous names", "imports from a list"}, reset.Layers),
	KeepsOut:   "what `reset` does, and more: jobs are in a part of Python that reaches no file, process or module but those of a list",
	Cost:       "what `reset` costs, the rewriting of each source (some 50 µs for a line), and the Python that is refused",
	Leaks: []string{
		"memory and processor time of the interpreter: RestrictedPython bounds neither",
		"what a flaw of the restriction in Python's own code would give away: no other barrier stands behind it",
	},
}

var restrictedFork = Mode{
	Name:       "restricted+fork",
	Summary:    "fork, and jobs in a restricted Python as in restricted: what it lets through ends with the child",
	Policy:     restrictedPolicy(fork.Policy, "fork.py"),
	Forks:      true,
	Restricted: true,
	Layers:     slices.Concat([]string{"no dangerous names", "imports from a list"}, fork.Layers),
	KeepsOut:   "what `fork` does, and the same part of Python: what gets through ends with the child, whose memory and time are limited",
	Cost:       "what `fork` costs, and the same",
	Leaks: []string{
		"what a flaw of the restriction in Python's own code would give away: it leads to what fork leaks",
	},
}
