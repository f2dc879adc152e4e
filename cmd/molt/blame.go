package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-0f8c9bb6/molt/configs"
)

// flagOfKey names the flag that beats a key of the configuration file.
var flagOfKey = map[string]string{
	"prefix":                  "prefix",
	"http":                    "http",
	"http_token":              "http-token",
	"work_dir":                "work-dir",
	"nice":                    "nice",
	"drain_timeout":           "drain-timeout",
	"log.level":               "log-level",
	"log.format":              "log-format",
	"nats.url":                "server",
	"nats.creds":              "creds",
	"nats.nkey":               "nkey",
	"nats.tls.cert":           "tlscert",
	"nats.tls.key":            "tlskey",
	"nats.tls.ca":             "tlsca",
	"pools.isolation":         "isolation",
	"pools.interpreters":      "interpreters",
	"pools.budget.executions": "budget",
	"pools.python":            "python",
	"pools.timeout":           "timeout",
	"pools.memory":            "memory",
}

var indexInKey = regexp.MustCompile(`\[\d+\]`)

// blame makes errors about values of the configuration name what the person
// gave: the flag or the variable where one of them set the value, else the
// file's key.
func (a *app) blame(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	var said []string
	for _, err := range split(err) {
		var key *configs.KeyError
		if errors.As(err, &key) {
			flag := flagOfKey[indexInKey.ReplaceAllString(key.Key, "")]
			if f := cmd.Flags().Lookup(flag); f != nil && f.Changed {
				source := "--" + flag
				if variable := a.environ[flag]; variable != "" {
					source = variable
				}
				err = fmt.Errorf("cannot use %s: %s", source, key.Problem)
			}
		}
		// A flag that is over every pool is wrong once.
		if !slices.Contains(said, err.Error()) {
			said = append(said, err.Error())
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// split returns the errors that errors.Join joined, at whatever depth.
func split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, split(err)...)
	}
	return all
}
