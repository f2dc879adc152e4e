package isolation

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// humanEvalTask is one of the benchmark's tasks; testdata/humaneval says where they are
// from.
type humanEvalTask struct {
	ID       string `json:"task_id"`
	Prompt   string `json:"prompt"`
	Solution string `json:"canonical_solution"`
	Test     string `json:"test"`
	Entry    string `json:"entry_point"`
}

func humanEval(t *testing.T) []humanEvalTask {
	t.Helper()
	file, err := os.Open("testdata/humaneval/HumanEval.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var tasks []humanEvalTask
	decoder := json.NewDecoder(lines)
	for decoder.More() {
		var task humanEvalTask
		if err := decoder.Decode(&task); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	if len(tasks) != 164 {
		t.Fatalf("%d tasks, want 164", len(tasks))
	}
	return tasks
}

// job is the task's program as the benchmark's own harness would run it.
func (h humanEvalTask) job(solution string) pyproc.Request {
	return pyproc.Request{Code: fmt.Sprintf("%s%s\n%s\ncheck(%s)\n", h.Prompt, solution, h.Test, h.Entry)}
}

// TestHumanEval: every reference solution passes in every mode, all in a row on one
// interpreter and once more in the reverse order.
func TestHumanEval(t *testing.T) {
	t.Parallel()
	tasks := humanEval(t)
	backwards := slices.Clone(tasks)
	slices.Reverse(backwards)
	for _, mode := range everyProgram {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, mode)
			for _, task := range slices.Concat(tasks, backwards) {
				out := row.do(task.job(task.Solution))
				if out.End != pyproc.EndCompleted || out.Completion.Outcome != "ok" {
					t.Errorf("%s: end %d, completion %+v, %s\n%s", task.ID, out.End, out.Completion, out.Detail, out.Stderr)
				}
			}
			row.replacedAtMost(1)
		})
	}
}

// TestHumanEvalBroken: a solution that does nothing passes in no mode, and costs no
// interpreter.
func TestHumanEvalBroken(t *testing.T) {
	t.Parallel()
	tasks := humanEval(t)
	for _, mode := range everyProgram {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			row := newRow(t, mode)
			for _, task := range tasks {
				out := row.do(task.job("    pass\n"))
				if out.End != pyproc.EndCompleted || out.Completion.Outcome != "error" || out.Completion.Error.Line == 0 {
					t.Errorf("%s: end %d, completion %+v, %s", task.ID, out.End, out.Completion, out.Detail)
				}
			}
			row.replacedAtMost(1)
		})
	}
}
