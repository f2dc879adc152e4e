package isolation

import (
	"encoding/json"
	"errors"
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
	// Processes limits how many processes and threads a job may have at a time, its
	// first among them; 0: no limit. The kernel counts them for each user, so that
	// interpreters need users of their own.
	Processes int
	// OpenFiles limits the number of descriptors of each of a job's processes; 0: what
	// the worker was started with.
	OpenFiles int
	// FileSize limits each file that a job writes, in bytes; 0: no limit.
	FileSize int64
	// Users is how many users interpreters run as, each as one of its own; 1: all as
	// one; 0: as the worker's.
	Users int
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
		return nil, fmt.Errorf("the mode %s does not reset modules: use reset, or leave third_party out", m.Name)
	}
	if err := m.checkImports(o.Imports); err != nil {
		return nil, err
	}
	if !m.Forks {
		return m.inProcessSettings(o)
	}
	if err := o.checkLimits(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Preload    []string `json:"preload,omitempty"`
		CPUSeconds int64    `json:"cpu_seconds,omitempty"`
		Processes  int      `json:"processes,omitempty"`
		OpenFiles  int      `json:"open_files,omitempty"`
		FileSize   int64    `json:"file_size,omitempty"`
		Imports    []string `json:"imports,omitempty"`
	}{o.Preload, int64(o.CPU / time.Second), o.Processes, o.OpenFiles, o.FileSize, o.Imports})
}

// inProcessSettings is Settings for a mode whose jobs have no process of their own.
func (m Mode) inProcessSettings(o Options) (json.RawMessage, error) {
	if len(o.Preload) > 0 {
		return nil, fmt.Errorf("the mode %s cannot preload modules without letting jobs change them: use fork, or leave preload out", m.Name)
	}
	for _, limit := range []struct {
		set       bool
		key, what string
	}{
		{o.CPU != 0, "cpu", "the processor time"},
		{o.Processes != 0, "processes", "the processes"},
		{o.OpenFiles != 0, "open_files", "the open files"},
		{o.FileSize != 0, "file_size", "the size of the files"},
	} {
		if limit.set {
			return nil, fmt.Errorf("the mode %s cannot limit %s of a job, which has no process of its own: use fork, or leave %s out", m.Name, limit.what, limit.key)
		}
	}
	if len(o.Imports) > 0 {
		return json.Marshal(map[string]any{"imports": o.Imports})
	}
	if o.DropThirdParty {
		return json.RawMessage(`{"third_party":"drop"}`), nil
	}
	return nil, nil
}

// minOpenFiles is what Python itself and a job's first import need.
const minOpenFiles = 16

func (o Options) checkLimits() error {
	switch {
	case o.CPU < 0 || o.CPU%time.Second != 0:
		return fmt.Errorf("a cpu limit of %v is not a number of whole seconds, which is how the kernel counts it", o.CPU)
	case o.Processes < 0 || o.FileSize < 0 || o.OpenFiles < 0:
		return errors.New("a limit is negative: use 0 for none")
	case o.OpenFiles > 0 && o.OpenFiles < minOpenFiles:
		return fmt.Errorf("a limit of %d open files leaves Python none: use at least %d", o.OpenFiles, minOpenFiles)
	case o.Processes > 0 && o.Users < 2:
		return errors.New("processes are counted for each user, and those of root not at all: give each interpreter a user of its own with a range, such as user: 61000-61015, or leave processes out and limit them with a cgroup around the worker")
	}
	return nil
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
