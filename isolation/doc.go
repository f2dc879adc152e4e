// Package isolation is the table of ways to keep jobs apart, and the Python policy of
// each. What a mode enforces and what it lets leak is declared in its Mode.
//
// A policy is one or more Python files that the harness of package pyproc loads into one
// namespace. It finds the harness as the global `harness` and defines
//
//	start(options)               once, before the first job; may be left out
//	run(job) -> harness.Completion
//
// where run is called once for every request. harness.run_in_process(job, execute) does
// what every policy needs that runs jobs in the process itself: the working directory,
// arguments, environment and streams before, threads, exit callbacks and descriptors
// after. It calls execute(job, done), which makes the job's module, runs the code in it
// and returns the module. job.taint(reason) says that the process must not run another
// job.
//
// # What a job finds
//
// The job runs as the module `__main__`, one namespace for globals and locals, fresh
// for every job, with its inputs bound. `__file__` is `__main__.py` in the job's
// directory, which is also the working directory and sys.path[0]; no such file exists,
// but tracebacks and inspect show the job's lines. (So multiprocessing's "spawn" can't
// import it again; "fork" works.) Tracebacks call it `__main__.py`. At its end
// non-daemon threads are joined and exit callbacks run, as when a script ends; then the
// module's names are deleted, unless threads still run. A job that forks and comes back
// in both processes is reported by the parent; the child exits.
//
// The conformance tests run every mode of the table through the same jobs. What of one
// job the next can find is examined by package experiment; a mode's Declares names the
// probes whose trace it lets through.
package isolation
