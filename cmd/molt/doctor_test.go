package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/queue/embednats"
)

// Each check is a line that begins with a mark; stderr stays empty.
func TestDoctor(t *testing.T) {
	t.Parallel()
	url, _ := startDev(t, "--no-store")
	empty := startServer(t, embednats.Options{})
	plain := startServer(t, embednats.Options{NoJetStream: true})
	foreign := startServer(t, embednats.Options{})
	makeStream(t, foreign, jetstream.StreamConfig{Name: "MOLT_RESULTS", Subjects: []string{"molt.results.>"}})
	control := startServer(t, embednats.Options{})
	makeStream(t, control, jetstream.StreamConfig{Name: "MOLT_CONTROL", Subjects: []string{"molt.control.>"}, MaxMsgs: 1})
	unknown := write(t, "c.yaml", "prefx: a\n")
	pythons := write(t, "c.yaml", "pools:\n  - name: a\n    python: absent\n  - name: b\n  - name: c\n    python: absent\n")
	bare := pyenv.With(t, pyenv.Numpy) // without RestrictedPython
	slow := write(t, "c.yaml", "pools:\n  - name: default\n    ack_wait: 7s\n")
	oneRange := write(t, "c.yaml", "pools:\n  - name: a\n    user: 61000-61015\n    interpreters: 1\n  - name: b\n    user: 61008-61031\n    interpreters: 1\n")
	tests := map[string]struct {
		args []string
		want want
	}{
		"fine": {[]string{"--server", url}, want{stdout: []string{"✓ configuration: ", "✓ Python: cpython 3.", "✓ NATS server: ", "✓ JetStream: ",
			"✓ stream MOLT_JOBS_default: as molt needs it", "✓ streams MOLT_RESULTS, MOLT_DEAD, MOLT_CONTROL: as molt needs it"}, not: []string{"✗"}}},
		"embedded":               {nil, want{stdout: []string{"✓ embedded NATS server: a job ran in mode reset"}, not: []string{"✗"}}},
		"embedded, another mode": {[]string{"--isolation", "fork"}, want{stdout: []string{"a job ran in mode fork"}}},
		"nothing there yet":      {[]string{"--server", empty}, want{stdout: []string{"✓ stream MOLT_JOBS_default: not there yet: the first worker creates"}, not: []string{"✗"}}},
		"no server": {[]string{"--server", "nats://127.0.0.1:1"}, want{code: exitFailure,
			stdout: []string{"✗ NATS server: ", "no NATS server there", "start a nats-server"}, not: []string{"JetStream:"}}},
		"no JetStream":             {[]string{"--server", plain}, want{code: exitFailure, stdout: []string{"✗ JetStream: ", "-js"}}},
		"a foreign stream":         {[]string{"--server", foreign}, want{code: exitFailure, stdout: []string{"✗ streams MOLT_RESULTS, MOLT_DEAD, MOLT_CONTROL: ", "another shape", "remove that stream"}}},
		"a foreign control stream": {[]string{"--server", control}, want{code: exitFailure, stdout: []string{"MOLT_CONTROL: ", "stream MOLT_CONTROL has"}}},
		"another mode":             {[]string{"--server", url, "--isolation", "fork"}, want{code: exitFailure, stdout: []string{"✗ stream MOLT_JOBS_default: ", `"fork"`}}},
		"another lease":            {[]string{"--server", url, "--config", slow}, want{code: exitFailure, stdout: []string{"✗ stream MOLT_JOBS_default: ", "ack wait", "7s"}}},
		"unknown key":              {[]string{"--config", unknown}, want{code: exitFailure, stdout: []string{"✗ configuration: ", unknown + ":1", `"prefx"`}}},
		"users of two pools": {[]string{"--config", oneRange}, want{code: exitFailure,
			stdout: []string{"✗ configuration: ", `"a" and "b" have users in common`, "a range of its own"}, not: []string{"✓"}}},
		"pythons": {[]string{"--config", pythons, "--server", empty}, want{code: exitFailure,
			stdout: []string{`✗ Python: cannot find "absent"`, "install CPython 3.10", "✓ Python: cpython", "✓ NATS server"}}},
		"no restriction": {[]string{"--isolation", "restricted", "--server", empty, "--python", bare}, want{code: exitFailure,
			stdout: []string{"✗ pool default: ", "no RestrictedPython 8.4 or newer", "pip install 'RestrictedPython>=8.4'"}}},
		"a restriction": {[]string{"--isolation", "restricted+fork", "--server", empty, "--python", pyenv.With(t, pyenv.RestrictedPython)}, want{
			stdout: []string{"✓ pool default: an interpreter starts in mode restricted+fork with RestrictedPython 8."}, not: []string{"✗"}}},
		"no Python":    {[]string{"--python", "absent"}, want{code: exitFailure, stdout: []string{"✗ Python: "}, not: []string{"embedded"}}},
		"not a Python": {[]string{"--python", "true"}, want{code: exitFailure, stdout: []string{"did not answer as a Python does", "--python"}}},
		"old Python":   {[]string{"--python", oldPython(t)}, want{code: exitFailure, stdout: []string{"cpython 3.9.1 at /old", "install CPython 3.10"}}},
		"failing":      {[]string{"--python", "false"}, want{code: exitFailure, stdout: []string{"✗ Python: cannot start", "exit status 1"}}},
		"wrong flag":   {[]string{"--prefix", "a.b"}, want{code: exitFailure, stdout: []string{"✗ configuration: ", "--prefix"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := molt(t, append([]string{"doctor"}, test.args...)...)
			test.want.check(t, got)
			for line := range strings.Lines(got.stdout) {
				if !strings.HasPrefix(line, "✓ ") && !strings.HasPrefix(line, "✗ ") {
					t.Errorf("a line without a mark: %q", line)
				}
			}
			if got.stderr != "" {
				t.Errorf("stderr %q", got.stderr)
			}
		})
	}
}

// oldPython is a program that answers as a CPython 3.9 would.
func oldPython(t *testing.T) string {
	t.Helper()
	return executable(t, "#!/bin/sh\necho '[\"cpython\", [3, 9, 1], \"/old\"]'\n")
}

func TestDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	url := startServer(t, embednats.Options{})
	want{}.check(t, molt(t, "doctor", "--server", url))
	nc, err := nats.Connect(url, nats.Timeout(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.AccountInfo(testContext(t))
	if err != nil || info.Streams != 0 || info.Consumers != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}
