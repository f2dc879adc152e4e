// Command molt runs Python jobs from a NATS JetStream queue on persistent,
// supervised interpreters, and publishes such jobs.
//
// main calls run once and exits with what it returns; everything below run
// takes its streams and its environment from a stdio value, so that tests run
// whole commands in their own process.
//
// A client command without a server starts one: the embedded NATS server, a
// worker on it and a client connected to it. The code path is the same as with
// a server elsewhere.
//
// Standard output carries results only. Logs, notes, progress and summaries go
// to standard error. exit.go has the table of exit codes.
package main
