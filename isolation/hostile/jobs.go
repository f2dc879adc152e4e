package hostile

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed jobs.txt
var table string

// Refused is what becomes of a job that a restricted mode turns down.
const Refused = "refused"

// patience is the time limit of a job that is not to reach one, however busy the machine.
const patience = 2 * time.Minute

// Job is one job and what is known of its end.
type Job struct {
	Name, Code string
	// MemoryBytes is its limit of memory; 0: none.
	MemoryBytes int64
	// Stdout is what its output begins with, where the job is not refused.
	Stdout   string
	timeout  time.Duration
	replaced []string
	expected map[string]string
}

// Jobs returns every job of the table.
func Jobs() ([]Job, error) {
	sections := strings.Split("\n"+table, "\n=== ")
	var jobs []Job
	for _, section := range sections[1:] {
		name, text, _ := strings.Cut(section, "\n")
		job := Job{Name: name, timeout: patience, Code: strings.TrimRight(text, "\n") + "\n", expected: map[string]string{}}
		for line := range strings.Lines(text) {
			key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": ")
			if !ok || !strings.HasPrefix(line, "# ") {
				break
			}
			if err := job.set(key, value); err != nil {
				return nil, fmt.Errorf("cannot read the job %q: %s: %w", name, key, err)
			}
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func (j *Job) set(key, value string) error {
	switch key {
	case "timeout":
		n, err := strconv.Atoi(value)
		j.timeout = time.Duration(n) * time.Millisecond
		return err
	case "memory":
		n, err := strconv.Atoi(value)
		j.MemoryBytes = int64(n) << 20
		return err
	case "stdout":
		return json.Unmarshal([]byte(value), &j.Stdout)
	case "replaced":
		j.replaced = strings.Split(value, ", ")
	default:
		j.expected[key] = value
	}
	return nil
}

// Want returns what may become of the job in a mode.
func (j *Job) Want(mode string) ([]string, error) {
	keys := []string{mode, "in-process", "expect", "anywhere"}
	restricted := strings.HasPrefix(mode, "restricted")
	switch {
	case restricted:
		keys = []string{mode, "restricted", "anywhere"}
	case mode == "fork":
		keys = []string{mode, "expect", "anywhere"}
	}
	for _, key := range keys {
		if words, ok := j.expected[key]; ok {
			return strings.Split(words, " | "), nil
		}
	}
	if restricted {
		return []string{Refused}, nil
	}
	return nil, fmt.Errorf("the table doesn't say what becomes of the job %q in the mode %s", j.Name, mode)
}

// Timeout is the job's time limit in a mode.
func (j *Job) Timeout(mode string) time.Duration {
	if want, err := j.Want(mode); err == nil && slices.Contains(want, "timeout") {
		return j.timeout
	}
	return patience
}

// Replaced reports whether a mode has the interpreter replaced after the job, though it
// survived it.
func (j *Job) Replaced(mode string) bool { return slices.Contains(j.replaced, mode) }

// Matches reports whether an end is one of those that may be: the same words, or the
// beginning of them.
func Matches(end string, want []string) bool {
	return slices.ContainsFunc(want, func(words string) bool {
		return end == words || strings.HasPrefix(end, words+" ")
	})
}
