package main

import (
	"testing"

	"github.com/seed-0f8c9bb6/molt/configs"
)

// Whatever of an embedded pool can change a job's result is another batch.
func TestBatchIsNamedAfterItsPool(t *testing.T) {
	t.Parallel()
	name := func(change func(*configs.Pool)) string {
		pool := configs.DefaultPool("default")
		change(&pool)
		return batchName("jobs.jsonl", &jobsFile{digest: []byte("content")}, configs.Config{Pools: []configs.Pool{pool}}, "default")
	}
	names := map[string]string{name(func(*configs.Pool) {}): "the default"}
	for what, change := range map[string]func(*configs.Pool){
		"isolation":     func(p *configs.Pool) { p.Isolation = "fork" },
		"budget":        func(p *configs.Pool) { p.Budget.Executions = 1 },
		"timeout":       func(p *configs.Pool) { p.Timeout = 1 },
		"memory":        func(p *configs.Pool) { p.Memory = 1 },
		"python":        func(p *configs.Pool) { p.Python = "other" },
		"output_cap":    func(p *configs.Pool) { p.OutputCap = 1 },
		"env":           func(p *configs.Pool) { p.Env = map[string]string{"A": "b"} },
		"cpu":           func(p *configs.Pool) { p.CPU = 1 },
		"preload":       func(p *configs.Pool) { p.Preload = []string{"json"} },
		"imports":       func(p *configs.Pool) { p.Imports = []string{"json"} },
		"processes":     func(p *configs.Pool) { p.Processes = 1 },
		"open_files":    func(p *configs.Pool) { p.OpenFiles = 1 },
		"file_size":     func(p *configs.Pool) { p.FileSize = 1 },
		"user":          func(p *configs.Pool) { p.User = "61000" },
		"third_party":   func(p *configs.Pool) { p.ThirdParty = "drop" },
		"max_job_bytes": func(p *configs.Pool) { p.MaxJobBytes = 1 },
		"reply_allow":   func(p *configs.Pool) { p.ReplyAllow = nil },
	} {
		one := name(change)
		if same, twice := names[one]; twice {
			t.Errorf("%s and %s have the same name %s", what, same, one)
		}
		names[one] = what
	}
	if same := name(func(p *configs.Pool) { p.Interpreters, p.Spares = 7, 3 }); names[same] != "the default" {
		t.Errorf("the number of interpreters makes another batch: %s", same)
	}
}
