package pyproc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "frames", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func pointer[T any](v T) *T { return &v }

// feed gives the reader bytes as a read would.
func feed(r *frameReader, data []byte) {
	for len(data) > 0 {
		n := copy(r.space(), data)
		r.added(n)
		data = data[n:]
	}
}

// frames returns the whole frames of the data that comes in pieces of that size.
func frames(r *frameReader, data []byte, piece int) ([]string, error) {
	var bodies []string
	for len(data) > 0 {
		n := min(piece, len(data))
		feed(r, data[:n])
		data = data[n:]
		for {
			body, ok, err := r.next()
			if err != nil {
				return bodies, err
			}
			if !ok {
				break
			}
			bodies = append(bodies, string(body))
		}
	}
	return bodies, nil
}

func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		purge bool
		req   Request
	}{
		"request-minimal": {false, Request{Code: "1 + 1"}},
		"request-full": {true, Request{
			Code: "print('é<\"\\>')\n\t\x01x", Inputs: json.RawMessage(` {"n":[1,null]}`), Stdin: pointer("in\n"),
			Args: []string{"a", "ü"}, Env: map[string]string{"B": "2", "A": "1"}, Locals: []string{"x"},
		}},
	} {
		body, err := appendRequest(make([]byte, frameHeader), "0123456789abcdef", c.purge, false, &c.req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sealFrame(body)
		if err != nil || !bytes.Equal(got, golden(t, name)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestGoldenReports(t *testing.T) {
	t.Parallel()
	const nonce = "0123456789abcdef"
	for name, want := range map[string]report{
		"ready": {Ready: true, Hello: Hello{PID: 7, Version: "3.12.1", Implementation: "cpython", Executable: "/usr/bin/python3", Layers: []string{"RestrictedPython 8.4"}},
			Modules: 70, CPU: [2]int64{0, 25_000_000}, RSSBytes: 12582912},
		"report-ok": {Nonce: nonce, CPU: [2]int64{1000, 3000}, RSSBytes: 4096, Modules: 70,
			Completion: &Completion{Outcome: "ok", Value: json.RawMessage("2"), Repr: pointer("2")}},
		"report-full": {Nonce: nonce, CPU: [2]int64{1, 2}, RSSBytes: 3, Modules: 4, Taint: `a "reason"`, Truncated: []string{"error"},
			Completion: &Completion{Outcome: "exit", ExitCode: pointer(3),
				Error:  &Exception{Type: "E", Message: "é", Line: 2, Traceback: "t\n"},
				Locals: map[string]json.RawMessage{"x": json.RawMessage("[1]")}}},
		"failure": {Nonce: nonce, Failed: "é", Started: true},
	} {
		bodies, err := frames(&frameReader{}, golden(t, name), 7)
		if err != nil || len(bodies) != 1 {
			t.Errorf("%s: %q, %v", name, bodies, err)
			continue
		}
		var got report
		if err := got.decode([]byte(bodies[0])); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestGoldenBadFrames(t *testing.T) {
	t.Parallel()
	if _, err := frames(&frameReader{}, golden(t, "bad-too-long"), 100); !errors.Is(err, errFrameTooLong) {
		t.Errorf("a frame that is too long: %v", err)
	}
	r := frameReader{}
	if bodies, err := frames(&r, golden(t, "bad-truncated"), 100); err != nil || bodies != nil || r.pending() != 13 {
		t.Errorf("a truncated frame: %q, %d pending, %v", bodies, r.pending(), err)
	}
	for _, name := range []string{"bad-empty", "bad-not-json"} {
		bodies, err := frames(&frameReader{}, golden(t, name), 100)
		if err != nil || len(bodies) != 1 {
			t.Fatalf("%s: %q, %v", name, bodies, err)
		}
		if err := new(report).decode([]byte(bodies[0])); err == nil {
			t.Errorf("%s was decoded", name)
		}
	}
}

func TestFrameReader(t *testing.T) {
	t.Parallel()
	long := string(bytes.Repeat([]byte("x"), 100_000))
	stream := bytes.Join([][]byte{frame("one"), frame(""), frame(long), frame("four")}, nil)
	want := []string{"one", "", long, "four"}
	for _, piece := range []int{1, 3, 4, 5, 4096, len(stream)} {
		r := frameReader{}
		got, err := frames(&r, stream, piece)
		if err != nil || !reflect.DeepEqual(got, want) || r.pending() != 0 {
			t.Errorf("in pieces of %d: %d frames, %d bytes pending, %v", piece, len(got), r.pending(), err)
		}
	}
}

// A header promises what doesn't come: nothing is allocated for it.
func TestFrameReaderPromises(t *testing.T) {
	t.Parallel()
	r := frameReader{}
	feed(&r, binary.BigEndian.AppendUint32(nil, maxFrame))
	if _, ok, err := r.next(); ok || err != nil || len(r.buf) > 16<<10 {
		t.Errorf("%v, %v, a buffer of %d bytes", ok, err, len(r.buf))
	}
	for _, size := range []uint32{maxFrame + 1, 1 << 31, 1<<32 - 1} {
		r := frameReader{}
		feed(&r, binary.BigEndian.AppendUint32(nil, size))
		if _, _, err := r.next(); !errors.Is(err, errFrameTooLong) {
			t.Errorf("a frame of %d bytes: %v", size, err)
		}
	}
}

func TestFrameReaderShrinks(t *testing.T) {
	t.Parallel()
	r := frameReader{}
	feed(&r, frame(string(make([]byte, 1<<20))))
	r.shrink()
	if len(r.buf) < 1<<20 {
		t.Fatal("it shrank with a frame in it")
	}
	if _, ok, err := r.next(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if r.shrink(); r.buf != nil {
		t.Errorf("it keeps %d bytes", len(r.buf))
	}
	if got, err := frames(&r, frame("again"), 2); err != nil || !reflect.DeepEqual(got, []string{"again"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSealFrameTooLong(t *testing.T) {
	t.Parallel()
	if _, err := sealFrame(make([]byte, frameHeader+maxFrame+1)); !errors.Is(err, errFrameTooLong) {
		t.Error(err)
	}
}

func TestReportErrors(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "{", "[]", "1", `"x"`, `{"nonce":1}`, `{"nonce":"n"} x`, `{"cpu_ns":["a"]}`, `{"rss_bytes":1.5}`,
		`{"nonce":"n","cpu_ns":[1,2],"rss_bytes":99999999999999999999,"modules":1,"completion":{"outcome":"ok"}}`,
		`{"nonce":"n","cpu_ns":[1,2],"rss_bytes":01,"modules":1,"completion":{"outcome":"ok"}}`,
		`{"nonce":"n","cpu_ns":[1,2],"rss_bytes":1,"modules":1,"completion":{"outcome":"ok","value":nul}}`,
	} {
		if r := new(report); r.decode([]byte(body)) == nil {
			t.Errorf("%q was decoded to %+v", body, r)
		}
	}
}

// referenceFrames cuts frames off as simply as can be.
func referenceFrames(data []byte) (bodies []string, rest int, tooLong bool) {
	for len(data) >= frameHeader {
		size := uint64(binary.BigEndian.Uint32(data))
		if size > maxFrame {
			return bodies, len(data), true
		}
		if uint64(len(data)-frameHeader) < size {
			break
		}
		bodies = append(bodies, string(data[frameHeader:frameHeader+size]))
		data = data[frameHeader+size:]
	}
	return bodies, len(data), false
}

func FuzzFrameReader(f *testing.F) {
	entries, err := os.ReadDir("testdata/frames")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		f.Add(golden(f, e.Name()), 3)
	}
	f.Add(append(frame("a"), frame("")...), 1)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, 4)
	f.Add(frame(string(make([]byte, 40_000))), 1000)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		r := frameReader{}
		got, err := frames(&r, data, max(piece, 1))
		want, rest, tooLong := referenceFrames(data)
		if !reflect.DeepEqual(got, want) || (err != nil) != tooLong || !tooLong && r.pending() != rest {
			t.Errorf("%d frames, %d pending, %v; want %d, %d, %v", len(got), r.pending(), err, len(want), rest, tooLong)
		}
		if len(r.buf) > 4*len(data)+16<<10 {
			t.Errorf("a buffer of %d bytes for %d", len(r.buf), len(data))
		}
	})
}

// FuzzReport: the reader of plain reports takes nothing that encoding/json refuses or
// reads in another way.
func FuzzReport(f *testing.F) {
	f.Add(golden(f, "report-ok")[frameHeader:])
	f.Add(golden(f, "report-full")[frameHeader:])
	f.Add([]byte(`{"nonce":"n","cpu_ns":[1,2],"rss_bytes":1,"modules":1,"completion":{"outcome":"ok","value":true}}`))
	f.Add([]byte(`{"nonce":"n","cpu_ns":[1,2],"rss_bytes":1,"modules":1,"completion":{"outcome":"ok"}}`))
	f.Add([]byte(plainForked))
	f.Fuzz(func(t *testing.T, body []byte) {
		var plain, full report
		if !plain.decodePlain(body) {
			return
		}
		if err := full.decodeAny(body); err != nil || !reflect.DeepEqual(plain, full) {
			t.Errorf("plain %+v, full %+v, %v", plain, full, err)
		}
	})
}
