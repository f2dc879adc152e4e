package pyproc

import (
	"encoding/json"
	"time"
)

// Spec says how to start one interpreter.
type Spec struct {
	// Python is the interpreter's path, or a name looked up in PATH.
	Python string
	// Policy is the Python files that decide how one job is run, each as its name
	// in tracebacks and its source. They share one namespace and run in this order.
	Policy [][2]string
	// Options is a JSON document for the policy; empty: null.
	Options json.RawMessage
	// Forks is true when the policy runs each job in a child process, whose
	// limits it enforces, and survives the job.
	Forks bool
	// Dir is a directory that belongs to this interpreter alone; the job's
	// working directory is made beneath it.
	Dir string
	// Env is the whole environment of the process; nothing is inherited.
	Env []string
	// Users are the users that the process runs as, in place of this one's; nil: this
	// one's. Their Check says whether that is possible.
	Users *Users
	// OutputCap limits what is kept of each of stdout, stderr, a repr and the
	// output files together, in bytes.
	OutputCap int
	// ReadyTimeout bounds the time from the start to the ready frame.
	ReadyTimeout time.Duration
	// KillDelay is the time between SIGTERM and SIGKILL when Stop is called.
	KillDelay time.Duration
}

// Request is one job as the interpreter gets it.
type Request struct {
	Code    string
	Inputs  json.RawMessage
	Stdin   *string
	Args    []string
	Env     map[string]string
	Files   map[string][]byte
	Locals  []string
	Globs   []string
	Timeout time.Duration
	// MemoryBytes is how much the process's address space may grow while the
	// job runs; 0: no limit.
	MemoryBytes int64
}

// End says how a request ended.
type End int

// The ends of a request.
const (
	// EndCompleted: the harness reported a completion frame.
	EndCompleted End = iota + 1
	// EndExited: the process ended by itself without a completion; ExitCode.
	EndExited
	// EndSignaled: a signal ended the process; Signal.
	EndSignaled
	// EndTimedOut: the wall-clock limit passed; the process was killed.
	EndTimedOut
	// EndStopped: a signal had stopped the process (SIGSTOP), which did not go on;
	// it was killed.
	EndStopped
	// EndCancelled: the caller's context ended; the process was killed.
	EndCancelled
	// EndProtocol: the process broke the frame protocol; it was killed.
	EndProtocol
	// EndNotRun: the job did not start, because the interpreter was already
	// gone, an earlier job still ran in it or the worker's side could not prepare
	// it; Detail. The same job may be given to another interpreter.
	EndNotRun
	// EndOverMemory: the caller said, by KillForMemory, that the process holds too
	// much memory; it was killed. Detail says what was said.
	EndOverMemory
)

// Outcome is all that is known of one request after it ended.
type Outcome struct {
	End      End
	ExitCode int
	Signal   int
	// Completion is set when End is EndCompleted.
	Completion *Completion

	Stdout, Stderr []byte
	// Truncated names what was cut: "stdout", "stderr", "repr", "files", …
	Truncated []string
	Files     map[string][]byte

	StartedAt  time.Time
	FinishedAt time.Time
	CPU        time.Duration
	// Limit names the limit that ended the job, where another than the
	// wall-clock one may: "wall", "cpu", "file_size", or that the exception which
	// ended it tells of: "open_files", "file_size", "processes".
	Limit string
	// MaxRSSBytes is the highest resident memory of the job's process so far.
	MaxRSSBytes int64
	// Detail explains every End but EndCompleted: what was wrong, and the last
	// lines that the process wrote to stderr when it ended.
	Detail string
	// Reusable is false when the interpreter is gone or must be replaced;
	// Taint says why in the latter case.
	Reusable bool
	Taint    string
}

// Completion is the harness's report of one finished job.
type Completion struct {
	// Outcome is "ok" or "error", or "exit" after SystemExit, or "memory"
	// after an uncaught MemoryError.
	Outcome  string                     `json:"outcome"`
	Value    json.RawMessage            `json:"value,omitempty"`
	Repr     *string                    `json:"repr,omitempty"`
	Error    *Exception                 `json:"error,omitempty"`
	ExitCode *int                       `json:"exit_code,omitempty"`
	Locals   map[string]json.RawMessage `json:"locals,omitempty"`
	// Limit names the limit that the exception tells of, where a policy that forks
	// set one.
	Limit string `json:"limit,omitempty"`
}

// Exception describes an uncaught exception, with the job's frames only.
type Exception struct {
	Type      string `json:"type"`
	Message   string `json:"message"`
	Line      int    `json:"line,omitempty"`
	Traceback string `json:"traceback,omitempty"`
}

// Hello is what an interpreter says of itself when it is ready.
type Hello struct {
	PID int `json:"pid"`
	// Version is "3.12.1"; Implementation is "cpython".
	Version        string `json:"version"`
	Implementation string `json:"implementation"`
	// Executable is sys.executable: starting this instead of Spec.Python saves
	// the time of wrapper scripts.
	Executable string `json:"executable"`
	// Layers names what the policy enforces with what this Python has.
	Layers []string `json:"layers"`
}

// Stats is a sample of a live interpreter.
type Stats struct {
	RSSBytes   int64
	Modules    int
	Executions int
	Age        time.Duration
}
