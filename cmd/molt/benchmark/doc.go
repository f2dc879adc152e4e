// Package benchmark measures molt against the bare limit: the same Python work
// done by as many plain interpreters, driven over pipes without a queue.
//
// Both are measured in one run, in turns, and what is claimed is their ratio,
// because machines differ and are rarely quiet. The queue has a limit as well, which is
// measured in the same way: what NATS does of the same messages when nothing is run.
package benchmark
