package isolation

import _ "embed"

//go:embed shared.py
var sharedPolicy string

var shared = Mode{
	Name:      "shared",
	Summary:   "all jobs in one process, each in a fresh __main__: the fastest, for trusted code",
	Policy:    [][2]string{{"<molt shared>", sharedPolicy}},
	InProcess: true,
	Layers:    []string{"fresh __main__", "own process group", "explicit environment"},
	Leaks: []string{
		"imported modules and changes to them",
		"changes to sys, builtins and os.environ",
		"signal handlers and timers",
		"open files, threads and child processes",
		"memory that is not given back",
	},
}
