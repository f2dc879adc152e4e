package integration

import (
	"encoding/json"
	"strings"
	"testing"
)

// The benchmarks run to their end at a small size; what they measure is for people.
func TestBench(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, "", "bench", "--size", "0.002", "--rounds", "1", "--sequential", "2", "--nice", "0", "--json")
	var report struct {
		Workloads []struct {
			Workload string
			Ratio    float64
			BusRate  float64 `json:"bus_jobs_per_second"`
			OfBoth   float64 `json:"of_both"`
		}
	}
	decodeReport(t, stdout, stderr, code, &report)
	if len(report.Workloads) != 3 || report.Workloads[0].Workload != "tiny" || report.Workloads[0].Ratio <= 0 ||
		report.Workloads[0].BusRate <= 0 || report.Workloads[0].OfBoth <= report.Workloads[0].Ratio {
		t.Errorf("%+v", report)
	}
}

// tinyReport is of tiny jobs.
type tinyReport struct {
	Ratio  float64
	OfBoth float64 `json:"of_both"`
}

func TestBenchScale(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, "", "bench", "--scale", "--size", "0.0002", "--rounds", "1", "--nice", "0",
		"--workers", "1,2", "--ack-wait", "1s", "--json")
	var report struct {
		Waiting []struct {
			Workers, Slots int
			OfLinear       float64 `json:"of_linear"`
		}
		Backlog struct {
			Jobs   int
			Tenths []struct {
				Ratio float64
				RSS   int64 `json:"worker_rss_bytes"`
			}
			LastToFirst float64 `json:"last_to_first"`
		}
		Tiny       tinyReport
		TinyApart  tinyReport `json:"tiny_apart"`
		Redelivery []struct {
			Jobs  int
			LastS float64 `json:"last_s"`
		}
	}
	decodeReport(t, stdout, stderr, code, &report)
	if w := report.Waiting; len(w) != 2 || w[1].Workers != 2 || w[1].Slots != 16 || w[0].OfLinear != 1 || w[1].OfLinear <= 0 {
		t.Errorf("waiting: %+v", w)
	}
	if b := report.Backlog; b.Jobs != 200 || len(b.Tenths) == 0 || b.Tenths[0].RSS == 0 || b.Tenths[0].Ratio <= 0 || b.LastToFirst <= 0 {
		t.Errorf("backlog: %+v", b)
	}
	if r := report.Redelivery; len(r) != 1 || r[0].Jobs != 8 || r[0].LastS <= 0 {
		t.Errorf("redelivery: %+v", r)
	}
	for where, tiny := range map[string]tinyReport{"in one process": report.Tiny, "apart": report.TinyApart} {
		if tiny.Ratio <= 0 || tiny.OfBoth <= tiny.Ratio {
			t.Errorf("tiny jobs %s: %+v", where, tiny)
		}
	}
}

func TestBenchScaleRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a server":         {[]string{"--server", "nats://127.0.0.1:1"}, "starts its own workers"},
		"a pool":           {[]string{"--pool", "x"}, "--pool cannot be used with --scale"},
		"two ways at once": {[]string{"--recycle"}, "two benchmarks"},
		"no workers":       {[]string{"--workers", "2,1"}, "ascending"},
		"a short lease":    {[]string{"--ack-wait", "1ms"}, "at least 1s"},
		"nothing to size":  {[]string{"--size", "0"}, "above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, code := run(t, "", append([]string{"bench", "--scale"}, c.args...)...)
			if code != 2 || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, %s", code, stderr)
			}
		})
	}
}

func decodeReport(t *testing.T, stdout, stderr string, code int, report any) {
	t.Helper()
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), report); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
}
