package experiment

import (
	"encoding/json"
	"slices"
)

// Probe is a pair of jobs. All its code is Python.
type Probe struct {
	// ID names the probe in declarations; it is unique and stays.
	ID string
	// About says in a few words what the first job leaves.
	About string
	// Leave is the first job: it leaves the trace, and must not fail. Empty: the
	// secret is there without it.
	Leave string
	// Inputs are the first job's.
	Inputs map[string]any
	// Env is added to the first job's environment.
	Env map[string]string
	// Look is the second job. It ends in an expression that is True when it found the
	// trace and False when it didn't. Output that contains Mark is a trace as well.
	Look string
	// Clean removes a trace that outlives the interpreter.
	Clean string
	// Unseen is true where a look before the first job would change what is tested:
	// there is none, and the interpreter is a fresh one.
	Unseen bool
}

// Mark is the text that traces are made of where they are text.
const Mark = "molt-trace"

// Group is probes of one kind of state.
type Group struct {
	Name string
	// About says what the group is about.
	About  string
	Probes []Probe
}

// corpus lists every group, in the order of the study and of the output.
var corpus = []Group{
	namespace, importSystem, libraryObjects, switches, hooks, defaults, process,
	descriptors, threads, children, kernel, files, secrets,
}

// Groups returns the corpus.
func Groups() []Group { return slices.Clone(corpus) }

// GroupNames returns the groups' names in order.
func GroupNames() []string {
	names := make([]string, len(corpus))
	for i, g := range corpus {
		names[i] = g.Name
	}
	return names
}

func (p Probe) inputs() json.RawMessage {
	if p.Inputs == nil {
		return nil
	}
	text, err := json.Marshal(p.Inputs)
	if err != nil {
		panic(err) // literals of this package
	}
	return text
}
