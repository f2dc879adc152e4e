// Package benchmark measures molt against the bare limit: the same Python work
// done by as many plain interpreters, driven over pipes without a queue.
//
// Both are measured in one run, in turns, and what is claimed is their ratio,
// because machines differ and are rarely quiet.
package benchmark
