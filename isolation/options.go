package isolation

import (
	"encoding/json"
	"fmt"
	"time"
)

// Options are what a pool may ask of its mode beyond the mode itself. A mode that
// cannot enforce one refuses it.
type Options struct {
	// Preload names modules that are imported once, before the first job.
	Preload []string
	// CPU limits the processor time of a job's process, in whole seconds; 0: no
	// limit.
	CPU time.Duration
	// DropThirdParty has every job of the mode reset import packages that are not
	// of the standard library afresh, as far as they have no extension modules: that
	// isolates what they keep in C or in closures too, and costs the import.
	DropThirdParty bool
}

// Settings returns the document that the mode's policy starts with. The error names
// the option that the mode cannot enforce, and what to do.
func (m Mode) Settings(o Options) (json.RawMessage, error) {
	if o.DropThirdParty && m.Name != reset.Name {
		return nil, fmt.Errorf("the mode %s does not reset modules: use reset, or leave the choice about third-party modules out", m.Name)
	}
	if !m.Forks {
		switch {
		case len(o.Preload) > 0:
			return nil, fmt.Errorf("the mode %s cannot preload modules without letting jobs change them: use fork, or leave preload out", m.Name)
		case o.CPU != 0:
			return nil, fmt.Errorf("the mode %s cannot limit the processor time of a job, which has no process of its own: use fork, or leave cpu out", m.Name)
		}
		if o.DropThirdParty {
			return json.RawMessage(`{"third_party":"drop"}`), nil
		}
		return nil, nil
	}
	if o.CPU < 0 || o.CPU%time.Second != 0 {
		return nil, fmt.Errorf("a cpu limit of %v is not a number of whole seconds, which is how the kernel counts it", o.CPU)
	}
	return json.Marshal(struct {
		Preload    []string `json:"preload,omitempty"`
		CPUSeconds int64    `json:"cpu_seconds,omitempty"`
	}{o.Preload, int64(o.CPU / time.Second)})
}
