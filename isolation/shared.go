package isolation

import (
	_ "embed"
	"strings"
)

//go:embed shared.py
var sharedPolicy string

var shared = Mode{
	Name:      "shared",
	Summary:   "all jobs in one process, each in a fresh __main__: the fastest, for trusted code",
	Policy:    [][2]string{{"<molt shared>", sharedPolicy}},
	InProcess: true,
	Layers:    []string{"fresh __main__", "own process group", "explicit environment"},
	KeepsOut: "names of other jobs: each job is a fresh `__main__`; their arguments, environment and files as handed over; " +
		"the worker's environment; what they print, leave in their directory or do to the standard streams; " +
		"hanging and crashing, since the interpreter is replaced",
	Cost: "nothing",
	Leaks: []string{
		"imported modules and changes to them",
		"changes to `sys`, builtins and `os.environ`",
		"signal handlers and timers",
		"open files, threads and child processes",
		"memory that is not given back",
		"what a hostile job does to molt's own code in the process: it can answer for later jobs",
	},
	Declares: strings.Fields(sharedLeaks),
}

// sharedLeaks are the probes that find their trace in the mode shared.
const sharedLeaks = `
		builtin-added builtin-replaced builtin-by-dunder
		builtin-by-function import-function context-variable exception-state garbage-cycle
		weak-callback
		fake-module module-replaced module-removed module-forbidden sys-path sys-path-rebound
		meta-path path-hooks path-importer-cache first-import-patched first-import-class-patched
		imported-into-patched submodule-attribute package-path module-class source-suffix
		loader-patched bytecode-settings import-lock module-spec builtin-module-names
		function-replaced function-added function-deleted impostor code defaults keyword-defaults
		function-attribute function-name function-name-by-pickle function-name-by-copy annotations
		closure method class-attribute class-attribute-deleted class-bases class-name nested-class
		property-function instance instance-class instance-slot module-dictionary module-list
		module-set module-deque counter abc-registry abc-cache copyreg copyreg-extension
		single-dispatch subclass finalizer static-type-gc static-type-ctypes static-type-comparison
		small-integer static-type-method
		switch-interval dlopen-flags int-digits coroutine-origins thread-stack-size collector-off
		collector-thresholds collector-debugging collector-garbage traceback-limit warning-options
		perf-trampoline prompts
		frame-trace thread-trace thread-profile monitoring-tool monitoring-callback excepthook
		thread-excepthook displayhook unraisablehook breakpointhook asyncgen-hooks audit-hook
		collector-callback fork-callback threading-exit-callback
		warnings-filter warnings-registry showwarning logging-level logging-handler logger
		logging-disabled level-name log-record-factory random-seed decimal-default locale text-domain
		text-domain-folder socket-timeout codec codec-cached codec-errors codec-errors-replaced
		functools-cache pattern-cache linecache mimetypes csv-dialect csv-field-size temporary-folder
		event-loop-policy running-loop task-names tracemalloc faulthandler faulthandler-signal
		url-opener xml-namespace archive-format sqlite-adapter sqlite-shared-memory time-zones
		ssl-default thread-local gettext syslog
		environment c-environment c-environment-removed time-zone umask signal-handler signal-ignored
		interrupt signal-mask signal-pending wakeup-descriptor interval-timer cpu-timer soft-limit
		hard-limit cpu-limit niceness affinity scheduler process-group no-new-privileges process-name
		oom-score timer-slack core-filter groups root-directory
		file-open descriptor-open socket-open output-flags status-flags pipe-size output-buffered
		output-buffered-cycle harness-descriptor
		daemon-thread bare-thread timer-thread main-thread-name library-lock plain-lock
		child child-session child-deaf child-stopped zombie forked-twin child-printing
		sysv-shared-memory sysv-queue posix-shared-memory posix-queue keyring abstract-socket
		tmp-file user-site
		worker-environment worker-memory worker-signals memory-residue harness-patched harness-code
		policy-code harness-frame nonce
`
