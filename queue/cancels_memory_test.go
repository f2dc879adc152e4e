package queue

import (
	"strconv"
	"testing"
	"time"
)

// A worker that has heard of many cancels forgets those that count no more, and no other.
func TestCancelsForgetTheOldOnes(t *testing.T) {
	t.Parallel()
	c := &Cancels{keys: make(map[string]time.Time)}
	began := time.Now()
	const days, each = 20, minSweep
	for day := range days {
		for i := range each {
			at := began.Add(time.Duration(day)*2*ControlMaxAge + time.Duration(i)*time.Second)
			c.remember(strconv.Itoa(day*each+i), at, at)
			if len(c.keys) > 3*each {
				t.Fatalf("it remembers %d cancels, of which %d count", len(c.keys), i+1)
			}
		}
	}
	for i := range each {
		if _, ok := c.keys[strconv.Itoa((days-1)*each+i)]; !ok {
			t.Fatalf("cancel %d of the last day is forgotten", i)
		}
	}
}
