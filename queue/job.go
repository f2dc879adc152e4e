package queue

import (
	"encoding/json"
	"time"
)

// Job is one piece of Python code with its inputs, as a producer publishes it.
// Only Code is required. Unknown fields of an encoded job are ignored.
type Job struct {
	// ID names the job within its batch: UTF-8 of up to MaxIDBytes bytes
	// without control characters. Empty: the Molt-Id header, else an id that
	// is derived from the stream's creation time and the message's sequence.
	ID string `json:"id,omitempty" msgpack:"id,omitempty"`
	// Batch names the set of jobs that ID is unique in. Empty: DefaultBatch.
	Batch string `json:"batch,omitempty" msgpack:"batch,omitempty"`
	// Code is Python source.
	Code string `json:"code" msgpack:"code"`
	// Inputs are bound as globals before the code runs: a JSON object, kept
	// as it was written so that integers of any size reach Python unharmed.
	Inputs json.RawMessage `json:"inputs,omitempty" msgpack:"-"`
	// Stdin is what the job reads as standard input; nil: end of file at once.
	Stdin *string `json:"stdin,omitempty" msgpack:"stdin,omitempty"`
	// Args become sys.argv[1:].
	Args []string `json:"args,omitempty" msgpack:"args,omitempty"`
	// Env is added to the job's environment.
	Env map[string]string `json:"env,omitempty" msgpack:"env,omitempty"`
	// Files are written beneath the job's directory before it starts; the
	// keys are relative paths. In JSON the contents are base64.
	Files map[string][]byte `json:"files,omitempty" msgpack:"files,omitempty"`
	// Outputs says what to send back beside the rest.
	Outputs *Outputs `json:"outputs,omitempty" msgpack:"outputs,omitempty"`
	// TimeoutMS is the wall-clock limit in milliseconds, capped by the
	// pool's; 0: the pool's.
	TimeoutMS int64 `json:"timeout_ms,omitempty" msgpack:"timeout_ms,omitempty"`
	// MemoryBytes is the memory limit in bytes, capped by the pool's; 0: the
	// pool's.
	MemoryBytes int64 `json:"memory_bytes,omitempty" msgpack:"memory_bytes,omitempty"`
	// ExpiresAt is the time after which a worker no longer starts the job;
	// nil: never.
	ExpiresAt *time.Time `json:"expires_at,omitempty" msgpack:"-"`
	// ReplyTo is a subject that gets a copy of the result by core publish.
	ReplyTo string `json:"reply_to,omitempty" msgpack:"reply_to,omitempty"`
	// Metadata is echoed in the result.
	Metadata map[string]string `json:"metadata,omitempty" msgpack:"metadata,omitempty"`
}

// Outputs names what a job sends back beside its standard results.
type Outputs struct {
	// Locals are names of globals whose values are returned.
	Locals []string `json:"locals,omitempty" msgpack:"locals,omitempty"`
	// Files are glob patterns of files beneath the job's directory.
	Files []string `json:"files,omitempty" msgpack:"files,omitempty"`
}

// Status says how a job ended.
type Status string

// The statuses of a result.
const (
	StatusOK          Status = "ok"
	StatusError       Status = "error"
	StatusCrashed     Status = "crashed"
	StatusTimeout     Status = "timeout"
	StatusOutOfMemory Status = "out_of_memory"
	StatusRejected    Status = "rejected"
	StatusExpired     Status = "expired"
	StatusCancelled   Status = "cancelled"
	StatusInfraError  Status = "infra_error"
)

// Statuses lists every status, in the order that summaries show them.
var Statuses = []Status{
	StatusOK, StatusError, StatusCrashed, StatusTimeout, StatusOutOfMemory,
	StatusRejected, StatusExpired, StatusCancelled, StatusInfraError,
}

// Fault says whose doing a status is.
type Fault string

// The faults of a result.
const (
	FaultNone           Fault = "none"
	FaultJob            Fault = "job"
	FaultLimit          Fault = "limit"
	FaultRequest        Fault = "request"
	FaultInfrastructure Fault = "infrastructure"
)

// Fault returns whose doing the status is.
func (s Status) Fault() Fault {
	switch s {
	case StatusOK:
		return FaultNone
	case StatusError, StatusCrashed:
		return FaultJob
	case StatusTimeout, StatusOutOfMemory:
		return FaultLimit
	case StatusRejected, StatusExpired, StatusCancelled:
		return FaultRequest
	default:
		return FaultInfrastructure
	}
}

// Result is what came of a job. Every job has exactly one stored result.
type Result struct {
	ID        string            `json:"id" msgpack:"id"`
	Batch     string            `json:"batch" msgpack:"batch"`
	Namespace string            `json:"namespace" msgpack:"namespace"`
	Status    Status            `json:"status" msgpack:"status"`
	Fault     Fault             `json:"fault" msgpack:"fault"`
	Limit     string            `json:"limit,omitempty" msgpack:"limit,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty" msgpack:"metadata,omitempty"`
	// Attempt counts the deliveries of the job, from 1; it is 0 in a result that a
	// client's cancel stored in a worker's place.
	Attempt int `json:"attempt" msgpack:"attempt"`
	// JobDigest identifies the job's content; see Job.Digest.
	JobDigest string `json:"job_digest" msgpack:"job_digest"`

	// Value is the value of a last expression as JSON, where JSON carries it
	// faithfully; nil: absent, which is not the JSON null.
	Value json.RawMessage `json:"value,omitempty" msgpack:"-"`
	// Repr is the repr of a last expression, cut at a cap; nil: the code did
	// not end in an expression.
	Repr *string `json:"repr,omitempty" msgpack:"repr,omitempty"`

	Stdout string `json:"stdout" msgpack:"stdout"`
	Stderr string `json:"stderr" msgpack:"stderr"`
	// Truncated names the fields that were cut to fit.
	Truncated []string  `json:"truncated,omitempty" msgpack:"truncated,omitempty"`
	Error     *JobError `json:"error,omitempty" msgpack:"error,omitempty"`
	// ExitCode is set when the job ended its process or raised SystemExit.
	ExitCode *int `json:"exit_code,omitempty" msgpack:"exit_code,omitempty"`
	// Signal is the number of the signal that ended the job's process.
	Signal int `json:"signal,omitempty" msgpack:"signal,omitempty"`
	// Locals are the values asked for with Outputs.Locals, as JSON.
	Locals map[string]json.RawMessage `json:"locals,omitempty" msgpack:"-"`
	// Files are the contents asked for with Outputs.Files, by relative path.
	Files map[string][]byte `json:"files,omitempty" msgpack:"files,omitempty"`

	Usage     *Usage       `json:"usage,omitempty" msgpack:"usage,omitempty"`
	Timing    Timing       `json:"timing" msgpack:"timing"`
	Isolation *Isolation   `json:"isolation,omitempty" msgpack:"isolation,omitempty"`
	Python    string       `json:"python,omitempty" msgpack:"python,omitempty"`
	Worker    WorkerOrigin `json:"worker" msgpack:"worker"`
}

// JobError describes the exception that ended a job, or why it was refused.
type JobError struct {
	Type    string `json:"type" msgpack:"type"`
	Message string `json:"message" msgpack:"message"`
	// Line is the line of the job's source, from 1; 0: unknown.
	Line int `json:"line,omitempty" msgpack:"line,omitempty"`
	// Traceback shows only frames that the job itself entered.
	Traceback string `json:"traceback,omitempty" msgpack:"traceback,omitempty"`
}

// Usage is what a job used, measured outside the job where its isolation mode
// has an outside; in the in-process modes MaxRSSBytes is the interpreter's peak.
type Usage struct {
	WallMS      float64 `json:"wall_ms" msgpack:"wall_ms"`
	CPUMS       float64 `json:"cpu_ms" msgpack:"cpu_ms"`
	MaxRSSBytes int64   `json:"max_rss_bytes" msgpack:"max_rss_bytes"`
}

// Timing says when a job was where. The times are RFC 3339 strings in UTC;
// StartedAt is empty when the job never ran. FinishedAt is then when that was
// decided.
type Timing struct {
	SubmittedAt string  `json:"submitted_at,omitempty" msgpack:"submitted_at,omitempty"`
	StartedAt   string  `json:"started_at,omitempty" msgpack:"started_at,omitempty"`
	FinishedAt  string  `json:"finished_at,omitempty" msgpack:"finished_at,omitempty"`
	QueuedMS    float64 `json:"queued_ms" msgpack:"queued_ms"`
}

// Isolation says what was really enforced for a job.
type Isolation struct {
	Mode   string   `json:"mode" msgpack:"mode"`
	Layers []string `json:"layers" msgpack:"layers"`
}

// WorkerOrigin says which interpreter of which worker produced a result.
type WorkerOrigin struct {
	Name string `json:"name" msgpack:"name"`
	Pool string `json:"pool" msgpack:"pool"`
	// Slot counts the pool's slots on that worker from 0, Generation the
	// slot's interpreters from 1, Execution the interpreter's jobs from 1; a
	// job that never reached an interpreter has Generation and Execution 0.
	Slot       int `json:"slot" msgpack:"slot"`
	Generation int `json:"generation" msgpack:"generation"`
	Execution  int `json:"execution" msgpack:"execution"`
}
