// Package experiment proves what each isolation mode keeps apart.
//
// It is a corpus of probes. A probe is two jobs: one leaves a trace, the other looks for
// it, both on a real interpreter of the mode, with the environment that a worker gives.
//
//	look    no trace may be there yet, or the probe itself is wrong
//	leave   the first job; where the interpreter is to be replaced after it, it is
//	look    the second job: True means that the trace got through
//	clean   for traces that outlive interpreters: removed, whatever was found
//
// An interpreter runs another probe only when nothing of the one before was found and
// the mode calls the interpreter fit; otherwise a fresh one is started. The first look
// makes sure that this holds: where it finds a trace on a used interpreter, the probe is
// run again on a fresh one.
//
// The verdict for a probe in a mode:
//
//	kept out        the second job found nothing on the same interpreter
//	recycled        the mode replaced the interpreter first, and nothing was found then
//	refused         the mode refuses the code of one of the two jobs
//	leaked          the second job found the trace
//	not applicable  this Python or this kernel has no such thing; the reason is told
//	failed          a job didn't do what the probe needs, so nothing is proven
//
// Each mode declares beside its policy which probes it lets leak (isolation.Mode).
// Report.Problems lists what a run found beyond that.
package experiment
