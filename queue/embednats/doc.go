// Package embednats runs a NATS server with JetStream inside the process, for
// commands that are used without a server of their own and for tests. It is
// the only package that imports nats-server.
package embednats
