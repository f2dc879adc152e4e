package queue

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"
)

// A worker that has heard of many cancels forgets those that count no more, and no other.
func TestCancelsForgetTheOldOnes(t *testing.T) {
	t.Parallel()
	c := &Cancels{keys: make(map[keyHash]time.Time)}
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
		if _, ok := c.keys[hashKey(strconv.Itoa((days-1)*each+i))]; !ok {
			t.Fatalf("cancel %d of the last day is forgotten", i)
		}
	}
}

// A key is not kept: a producer that may cancel can make it as long as a subject.
func TestCancelsKeepNoKeys(t *testing.T) {
	t.Parallel()
	c := &Cancels{keys: make(map[keyHash]time.Time)}
	remember := func() weak.Pointer[byte] {
		key := []byte("default.jobs." + strings.Repeat("x", 4<<10))
		c.remember(unsafe.String(&key[0], len(key)), time.Now(), time.Now())
		return weak.Make(&key[0])
	}
	kept := remember()
	runtime.GC()
	if kept.Value() != nil || len(c.keys) != 1 {
		t.Errorf("of %d cancels the key is still there", len(c.keys))
	}
}

// However many outages there were, the first pauses of the next are short, also when no
// cancel came between them; within one outage they grow.
func TestPausesOfAnOutage(t *testing.T) {
	t.Parallel()
	const longestFirst = 3 * time.Second / 2 // a second, and a half by chance
	o := newOutages()
	for opens := range 20 {
		if first := o.pause(opens); first > longestFirst {
			t.Errorf("outage %d: the first pause is %v", opens, first)
		}
		var last time.Duration
		for range 10 {
			last = o.pause(opens)
		}
		if last <= longestFirst {
			t.Errorf("outage %d: the last pause is %v", opens, last)
		}
	}
}
