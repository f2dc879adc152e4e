package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/seed-0f8c9bb6/molt/integration/testkit"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// What says how to reach a server, and can't be used, is a wrong configuration, for
// the worker and for the commands.
func TestUnusableConnectionSettings(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	garbage := write(t, "garbage", "garbage\n")
	absent := filepath.Join(t.TempDir(), "absent")
	soon := time.Now().Add(time.Hour)
	ca := testkit.NewAuthority(t)
	cert, _ := ca.Issue("127.0.0.1", soon)
	_, key := ca.Issue("127.0.0.1", soon)
	pair := testkit.Must(nkeys.CreateAccount())(t)
	account := testkit.WriteFile(t, testkit.Must(pair.Seed())(t))
	context := func(setting, file string) []string {
		return []string{"--context", write(t, "context.json", `{"url": "`+url+`", "`+setting+`": "`+file+`"}`)}
	}
	tests := map[string]struct {
		flags []string
		words string
	}{
		"nkey":                {[]string{"--server", url, "--nkey", garbage}, garbage},
		"an account's nkey":   {[]string{"--server", url, "--nkey", account}, account},
		"credentials":         {[]string{"--server", url, "--creds", garbage}, garbage},
		"another's key":       {[]string{"--server", url, "--tlscert", cert, "--tlskey", key}, key},
		"authorities":         {[]string{"--server", url, "--tlsca", garbage}, garbage},
		"unknown context":     {[]string{"--context", "absent"}, `"absent"`},
		"no context file":     {[]string{"--context", absent}, absent},
		"no JSON":             {[]string{"--context", garbage}, garbage},
		"context's nkey":      {context("nkey", absent), absent},
		"context's creds":     {context("creds", absent), absent},
		"context's authority": {context("ca", garbage), garbage},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, command := range [][]string{{"submit", "-c", "1"}, {"status"}, {"worker"}} {
				want{code: exitUsage, stderr: []string{test.words}}.check(t, molt(t, append(command, test.flags...)...))
			}
		})
	}
}
