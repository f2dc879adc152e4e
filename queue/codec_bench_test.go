package queue

import (
	"encoding/json"
	"strings"
	"testing"
)

var benchJobs = []struct {
	name string
	job  Job
}{
	{"tiny", Job{ID: "HumanEval/12", Batch: "eval", Code: "print(1 + 1)"}},
	{"inputs", Job{ID: "12", Code: "print(x, y)", Inputs: []byte(`{"x":1,"y":[1.5,"two",null,{"z":true}]}`), TimeoutMS: 1000, Args: []string{"a", "b"}}},
	{"1MiB", Job{ID: "12", Code: strings.Repeat("x = 1  # a line of 32 characters\n", 32768)}},
}

func BenchmarkDecodeJob(b *testing.B) {
	for _, c := range benchJobs {
		for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
			body, err := EncodeJob(enc, c.job)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(c.name+"/"+enc.ContentType()[len("application/"):], func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					if _, err := DecodeJob(enc, body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkEncodeJob(b *testing.B) {
	for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
		b.Run(enc.ContentType()[len("application/"):], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := EncodeJob(enc, benchJobs[0].job); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, c := range benchJobs {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.job.Digest()
			}
		})
	}
}

var benchResults = []struct {
	name   string
	result Result
}{
	{"tiny", tinyResult()},
	{"full", fullResult()},
	{"1MiB", func() Result {
		r := tinyResult()
		r.Stdout = strings.Repeat("x = 1  # a line of 32 characters\n", 32768)
		return r
	}()},
}

func BenchmarkEncodeResult(b *testing.B) {
	for _, c := range benchResults {
		for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
			b.Run(c.name+"/"+enc.ContentType()[len("application/"):], func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := EncodeResult(enc, c.result); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDecodeResult(b *testing.B) {
	for _, c := range benchResults {
		for _, enc := range []Encoding{EncodingJSON, EncodingMsgpack} {
			b.Run(c.name+"/"+enc.ContentType()[len("application/"):], func(b *testing.B) {
				b.ReportAllocs()
				body, err := EncodeResult(enc, c.result)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := DecodeResult(enc.ContentType(), body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// tinyResult returns what a worker sends for a job that prints a number.
func tinyResult() Result {
	return Result{
		ID: "HumanEval/12", Batch: "eval", Namespace: "default", Status: StatusOK, Fault: FaultNone,
		Attempt: 1, JobDigest: strings.Repeat("ab", 32), Stdout: "2\n",
		Usage:     &Usage{WallMS: 0.114, CPUMS: 0.093, MaxRSSBytes: 17 << 20},
		Timing:    Timing{SubmittedAt: "2026-01-02T03:04:05.123456Z", StartedAt: "2026-01-02T03:04:06.123456Z", FinishedAt: "2026-01-02T03:04:07.123456Z", QueuedMS: 1.25},
		Isolation: &Isolation{Mode: "reset", Layers: []string{"process", "modules"}},
		Python:    "3.12.1",
		Worker:    WorkerOrigin{Name: "host-1-1234", Pool: "default", Generation: 1, Execution: 33},
	}
}

// fullResult returns a result with every field set.
func fullResult() Result {
	repr, exit := "42", 3
	return Result{
		ID: "HumanEval/12", Batch: "eval", Namespace: "default",
		Status: StatusError, Fault: FaultJob, Limit: "wall",
		Metadata: map[string]string{"b": "2", "a": "ein <Wert> & mehr"},
		Attempt:  2, JobDigest: strings.Repeat("ab", 32),
		Value: []byte(`{"x":[1,1.0,-3,"zwei",null,true,9007199254740992]}`), Repr: &repr,
		Stdout: "hallo\n", Stderr: "öh\n", Truncated: []string{"stdout"},
		Error:    &JobError{Type: "ValueError", Message: "no", Line: 3, Traceback: "Traceback …"},
		ExitCode: &exit, Signal: 9,
		Locals:    map[string]json.RawMessage{"y": []byte(`null`), "x": []byte(`[0.5]`)},
		Files:     map[string][]byte{"out/a.bin": {0, 255}},
		Usage:     &Usage{WallMS: 12.5, CPUMS: 3, MaxRSSBytes: 1 << 33},
		Timing:    Timing{SubmittedAt: "2026-01-02T03:04:05.5Z", StartedAt: "2026-01-02T03:04:06Z", FinishedAt: "2026-01-02T03:04:07Z", QueuedMS: 500},
		Isolation: &Isolation{Mode: "reset", Layers: []string{"modules", "path"}},
		Python:    "3.12.1",
		Worker:    WorkerOrigin{Name: "w1", Pool: "default", Slot: 1, Generation: 2, Execution: 33},
	}
}
