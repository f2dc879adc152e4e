package configs

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

// The systemd unit fits what the worker does and how long it takes.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	file, err := os.Open("molt.service")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatal(err)
	}
	service := make(map[string]string)
	for _, o := range options {
		if o.Section == "Service" {
			if _, twice := service[o.Name]; twice {
				t.Errorf("%s stands twice", o.Name)
			}
			service[o.Name] = o.Value
		}
	}
	for key, want := range map[string]string{
		"Type": "notify", "KillMode": "mixed", "KillSignal": "SIGTERM", "Restart": "on-failure", "OOMPolicy": "continue",
		"RestartPreventExitStatus": "2", "NoNewPrivileges": "yes",
	} {
		if service[key] != want {
			t.Errorf("%s=%s, want %s", key, service[key], want)
		}
	}
	if !strings.Contains(service["ExecStart"], "molt worker --config ") {
		t.Errorf("ExecStart=%s", service["ExecStart"])
	}
	seconds := func(key string) time.Duration {
		d, err := time.ParseDuration(service[key] + "s")
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		return d
	}
	// After the drain timeout a worker waits 12 s more for its server.
	if least := Default().DrainTimeout.Std() + 12*time.Second; seconds("TimeoutStopSec") <= least {
		t.Errorf("TimeoutStopSec is %v, a drain takes up to %v", seconds("TimeoutStopSec"), least)
	}
	if seconds("WatchdogSec") < 10*time.Second || seconds("TimeoutStartSec") <= 30*time.Second {
		t.Errorf("WatchdogSec %v, TimeoutStartSec %v", seconds("WatchdogSec"), seconds("TimeoutStartSec"))
	}
}
