// Package testkit has what the tests of several packages share: waiting for a condition,
// jobs that wait at a gate, signals to children, free ports, certificates and credentials,
// and reading metrics.
package testkit
