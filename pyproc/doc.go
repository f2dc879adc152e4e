// Package pyproc is one supervised Python process: it starts it, gives it one job at a
// time, and says afterwards how that ended, whatever the job did to the process.
//
// # The process
//
// It runs as `python -I -X utf8 -c <bootstrap>`, in a process group of its own, with
// the environment that Spec names and no other. It dies with the worker: its control
// pipe ends, and a busy one gets SIGKILL from the kernel (PDEATHSIG, which is why one
// locked thread starts every process). Ending it means its group: SIGTERM, KillDelay,
// SIGKILL. What leaves the group (setsid) is not caught here.
//
//	worker                              process
//	  control pipe ──── frames ────────▶ 3, then a high number
//	  result pipe  ◀─── frames ───────── 4, then a high number
//	  stdout pipe  ◀─── any bytes ────── 1
//	  stderr pipe  ◀─── any bytes ────── 2
//	                    /dev/null ─────▶ 0, or a memory file with the job's stdin
//
// The folder harness is molt's half in the process; serve.py is where it begins. It
// closes what else the process inherited, moves its descriptors above the numbers that
// programs close in a loop, keeps spares of 0, 1 and 2 and puts them back after every
// job. A crash leaves no core file. The policy (package isolation) decides how one job
// is run.
//
// # Templates
//
// A Template is such a process that never runs a job, and forks interpreters instead. The
// worker sends it the process's ends of four pipes by a socket; it forks with clone(2) and
// CLONE_PARENT, so that the new process is its sibling, and answers with the process id.
// The worker makes that process the leader of a group of its own, which it was not until
// then: it ends with the template while nobody else knows it. Then the new process gets
// from its control pipe
//
//	send set-up   {parent, job_dir, env: {name: value or null}, uid?, gid?}
//	reply ready   as below
//
// and has its policy's forked(), where there is one, take note of what is the process's own.
//
// # Frames
//
// A frame is a length, four bytes in big-endian order, and a body of that many bytes,
// at most 64 MiB, in both directions. A body is UTF-8 JSON. There is one writer a pipe,
// and one answer to every frame sent. testdata/frames holds examples that both sides'
// tests read.
//
//	send set-up   {harness: [[name, source], ...], policy: [[name, source], ...], output_cap, job_dir}
//	reply ready   {ready: true, pid, version, implementation, executable, modules,
//	              cpu_ns: [0, now], rss_bytes, layers: [text]}
//
// The first frame, read by the bootstrap, holds the sources and what stays for the
// life of the process. A Python that is too old says so on stderr and exits.
//
//	send request  {nonce, timeout?, code, stdin?, args?, env?, locals?, memory?, purge?} {inputs}?
//	reply report  {nonce, cpu_ns: [before, after], rss_bytes, modules,
//	              taint?, truncated?, completion: {outcome, value?, repr?, error?,
//	              limit?, exit_code?, locals?}}
//	   or report  {nonce, cpu_ns: [0, used], rss_bytes, modules, taint?, child: {exit_code,
//	              signal, limit, flooded}} and a frame {truncated?, completion}?
//	   or failure {nonce, failed, started}
//
// A request's body is one JSON object, and a second one after it where the job has
// inputs: inputs that Python refuses (nested too deep, a number of too many digits)
// thereby fail inside the job. purge says that the job's directory changed, so modules
// and listings that Python caches of it must go. A report's cpu_ns are the process's
// clock at the end of the job before and of this one. taint says why the process must
// not run another job. Where the policy runs the job in a child process, the report is of
// that process: how it ended is what its parent saw, and the frame within the frame is
// what it said itself. Such a policy also enforces the timeout, in nanoseconds, and finds
// it and the nonce at fixed places without reading the rest. A failure says that the plumbing itself failed, before the job
// started or after.
//
//	send end of the control pipe
//	reply exit 0
//
// # What a job can do to the protocol
//
// In the modes that run jobs inside the process a job can reach everything that the
// harness can. The nonce is random for each request, so what a job writes to the result
// pipe by accident or from a straggling thread is not taken for a report:
//
//	a report with another nonce          discarded; the process is tainted
//	a signal stops the process, which
//	does not go on within two seconds    EndStopped, the process is killed
//	two reports, a length over the cap,
//	what is not JSON, a frame begun and
//	not finished within two seconds      EndProtocol, the process is killed
//	the descriptors are closed           EndProtocol, the process is killed
//	the process ends without a report    EndExited or EndSignaled, by its wait status
//
// A job that searches the harness's memory for its nonce can forge its own report, and
// no other job's. Where it runs on, the process is killed before the next job is run,
// which has EndNotRun then and runs in another process:
//
//	anything is in the result pipe       before a request is sent
//	a report with the nonce before       in place of the answer
//	the request stays in the control     for a second, or until the job's deadline; whatever
//	pipe: the harness is not back        else happens meanwhile is not the next job's doing
//	the process has children when a      at once, the job has EndProtocol (of a policy that
//	report comes                         forks: a job wrote to its parent's pipe)
//
// What can't be prevented within one process: a job that takes the harness's place, and
// reads the next request itself.
//
// # Output
//
// Standard output and error are caught at the descriptors, so that child processes and
// C code are heard. The pipes are drained after a short job, and during one that takes
// longer; past OutputCap bytes are read and dropped, so a flood never blocks the job.
// What a straggler writes between jobs is dropped.
//
// # Signals
//
// SIGINT interrupts a job (KeyboardInterrupt) and is ignored while idle. SIGTERM ends
// the process. Deadlines are the worker's: at the limit the group gets SIGKILL.
//
// # Values
//
// value carries None, bool, int within ±2^53, finite float, str without lone
// surrogates, and list and str-keyed dict of those: the exact types, not subclasses,
// nested at most 500 deep and OutputCap bytes long. Anything else is absent; None is
// the JSON null. repr is cut at OutputCap, with lone surrogates escaped, and reads
// "<unrepresentable T: E>" where repr() raised E. Asked-for globals that don't exist or
// can't be carried are left out.
package pyproc
