package isolation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options are what a pool may ask of its mode beyond the mode itself. A mode that
// cannot enforce one refuses it.
type Options struct {
	// Preload names modules that are imported once, before the first job.
	Preload []string
	// CPU limits the processor time of a job's process, in whole seconds; 0: no
	// limit.
	CPU time.Duration
	// DropThirdParty has every job of the mode reset import packages that are not
	// of the standard library afresh, as far as they have no extension modules: that
	// isolates what they keep in C or in closures too, and costs the import.
	DropThirdParty bool
	// Imports names the modules that restricted jobs may import; "default" stands for
	// those that may be when there is no list.
	Imports []string
}

// Settings returns the document that the mode's policy starts with. The error names
// the option that the mode cannot enforce, and what to do.
func (m Mode) Settings(o Options) (json.RawMessage, error) {
	if o.DropThirdParty && m.Name != reset.Name {
		return nil, fmt.Errorf("the mode %s does not reset modules: use reset, or leave the choice about third-party modules out", m.Name)
	}
	if err := m.checkImports(o.Imports); err != nil {
		return nil, err
	}
	if !m.Forks {
		switch {
		case len(o.Preload) > 0:
			return nil, fmt.Errorf("the mode %s cannot preload modules without letting jobs change them: use fork, or leave preload out", m.Name)
		case o.CPU != 0:
			return nil, fmt.Errorf("the mode %s cannot limit the processor time of a job, which has no process of its own: use fork, or leave cpu out", m.Name)
		}
		if len(o.Imports) > 0 {
			return json.Marshal(map[string]any{"imports": o.Imports})
		}
		if o.DropThirdParty {
			return json.RawMessage(`{"third_party":"drop"}`), nil
		}
		return nil, nil
	}
	if o.CPU < 0 || o.CPU%time.Second != 0 {
		return nil, fmt.Errorf("a cpu limit of %v is not a number of whole seconds, which is how the kernel counts it", o.CPU)
	}
	return json.Marshal(struct {
		Preload    []string `json:"preload,omitempty"`
		CPUSeconds int64    `json:"cpu_seconds,omitempty"`
		Imports    []string `json:"imports,omitempty"`
	}{o.Preload, int64(o.CPU / time.Second), o.Imports})
}

// undoing are modules whose public functions reach files, processes, other modules or code:
// a restriction that lets jobs import one is none.
var undoing = strings.Fields(`os posix subprocess builtins importlib imp runpy pkgutil zipimport
	ctypes _ctypes cffi gc inspect ast dis code codeop codecs pickle marshal shelve copyreg shutil pathlib
	tempfile glob fileinput socket ssl asyncio selectors select threading _thread multiprocessing concurrent
	signal resource traceback linecache pdb bdb profile cProfile timeit trace tracemalloc logging
	unittest doctest site sysconfig weakref atexit faulthandler mmap fcntl pty http urllib ftplib
	sqlite3 dbm zipfile tarfile RestrictedPython _string __main__`)

func (m Mode) checkImports(names []string) error {
	if len(names) > 0 && !m.Restricted {
		return fmt.Errorf("the mode %s lets jobs import what there is: use restricted or restricted+fork, or leave imports out", m.Name)
	}
	for _, name := range names {
		if !moduleName.MatchString(name) {
			return fmt.Errorf("%q in imports is not a module's name: use names such as json or collections.abc", name)
		}
		if top, _, _ := strings.Cut(name, "."); slices.Contains(undoing, top) {
			return fmt.Errorf("imports cannot contain %s, which would undo the restriction: leave it out, or use the mode fork", name)
		}
	}
	return nil
}

var moduleName = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)
