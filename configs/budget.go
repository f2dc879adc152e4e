package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Budget is what an interpreter may use up before it is replaced; what is 0 has no limit.
// In a file it is a mapping, or a number of executions alone.
type Budget struct {
	// Executions is the number of jobs.
	Executions int `yaml:"executions"`
	// Jitter is the part of executions by which interpreters are replaced earlier,
	// each by another.
	Jitter Percent `yaml:"jitter"`
	// Memory is what the interpreter may hold between two jobs, MemoryHard what it
	// may hold at any time: a job that goes beyond is out of memory.
	Memory     MemoryLimit `yaml:"memory"`
	MemoryHard MemoryLimit `yaml:"memory_hard"`
	// MemoryMeasure is rss or pss.
	MemoryMeasure string `yaml:"memory_measure"`
	// Age is the time in service, Idle the time without a job.
	Age  Duration `yaml:"age"`
	Idle Duration `yaml:"idle"`
	// Modules is the number of loaded modules.
	Modules int `yaml:"modules"`
	// Errors is the number of jobs in a row that ended with an error.
	Errors int `yaml:"errors"`
	// MinLifetime is how long an interpreter serves at least before memory, age,
	// modules or errors count, and lives at least for its start to count as a
	// success.
	MinLifetime Duration `yaml:"min_lifetime"`
}

// MemoryMeasures are the values of budget.memory_measure.
var MemoryMeasures = []string{"rss", "pss"}

// DefaultBudget returns the budget of a pool that names none.
func DefaultBudget() Budget {
	return Budget{Executions: 1000, Jitter: 0.1, MemoryMeasure: "rss", MinLifetime: Duration(time.Second)}
}

// UnmarshalYAML reads a number of executions, or a mapping in which what is left out
// keeps its default.
func (b *Budget) UnmarshalYAML(node ast.Node) error {
	type plain Budget
	budget := plain(DefaultBudget())
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		if err := yaml.NodeToValue(node, &budget, yaml.Strict()); err != nil {
			return err
		}
	default:
		n, err := strconv.Atoi(scalar(node))
		if err != nil {
			return valueError(node, fmt.Sprintf("%q is not a budget: write a number of executions, or a mapping such as {executions: 1000, memory: 512MiB}", scalar(node)))
		}
		budget.Executions = n
	}
	*b = Budget(budget)
	return nil
}

func (b *Budget) validate(check checker) {
	check(b.Executions >= 0, "budget.executions", "%d is negative: use 0 for no limit", b.Executions)
	check(b.Jitter >= 0 && b.Jitter <= 0.5, "budget.jitter", "%v must be 0 to 50%%", b.Jitter)
	check(b.Age >= 0, "budget.age", "%v is negative: use 0 for no limit", b.Age)
	check(b.Idle >= 0, "budget.idle", "%v is negative: use 0 for no limit", b.Idle)
	check(b.Modules >= 0, "budget.modules", "%d is negative: use 0 for no limit", b.Modules)
	check(b.Errors >= 0, "budget.errors", "%d is negative: use 0 for no limit", b.Errors)
	check(b.MinLifetime >= Duration(time.Millisecond), "budget.min_lifetime", "%v must be at least 1ms", b.MinLifetime)
	check(b.MemoryMeasure == "rss" || b.MemoryMeasure == "pss", "budget.memory_measure", "%q is unknown: choose one of %s", b.MemoryMeasure, strings.Join(MemoryMeasures, ", "))
	soft, hard := b.Memory, b.MemoryHard
	check(soft.Bytes == 0 || hard.Bytes == 0 || soft.Growth != hard.Growth || soft.Bytes <= hard.Bytes,
		"budget.memory_hard", "%v is less than memory, %v: raise it", hard, soft)
}

// MemoryLimit is an amount of memory: "512MiB" in all, or "+256MiB" more than the
// interpreter held when it was ready.
type MemoryLimit struct {
	Bytes  Size
	Growth bool
}

// UnmarshalYAML reads a size with or without a plus sign.
func (m *MemoryLimit) UnmarshalYAML(node ast.Node) error {
	text, growth := strings.CutPrefix(scalar(node), "+")
	bytes, err := ParseSize(text)
	if err != nil {
		return valueError(node, err.Error()+"; a plus sign before it counts from the interpreter's start")
	}
	*m = MemoryLimit{Bytes: Size(bytes), Growth: growth}
	return nil
}

func (m MemoryLimit) String() string {
	if m.Growth {
		return "+" + m.Bytes.String()
	}
	return m.Bytes.String()
}

// Percent is a part of a whole, from 0 to 1.
type Percent float64

// UnmarshalYAML reads "10%" or 0.
func (p *Percent) UnmarshalYAML(node ast.Node) error {
	text := scalar(node)
	number, percent := strings.CutSuffix(text, "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !percent && value != 0 || value < 0 || value > 100 {
		return valueError(node, fmt.Sprintf("%q is not a percentage: write one from 0%% to 100%%, such as 10%%", text))
	}
	*p = Percent(value / 100)
	return nil
}

func (p Percent) String() string { return strconv.FormatFloat(float64(p)*100, 'g', -1, 64) + "%" }
