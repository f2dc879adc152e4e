// Package integration tests molt as its users run it: real nats-server
// processes, real molt processes, real kills. It builds both programs itself
// and needs nothing that runs already.
package integration
