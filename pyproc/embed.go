package pyproc

import _ "embed"

//go:embed harness.py
var harnessSource string

// harnessName is the harness's file name in tracebacks; its form keeps linecache
// from looking for it on disk.
const harnessName = "<molt harness>"

// bootstrap is the command that the interpreter is started with. It is written for
// any Python 3, so that one that is too old can say so.
const bootstrap = `import sys
if sys.version_info < (3, 10) or sys.implementation.name != "cpython":
    sys.exit("molt needs CPython 3.10 or newer; this is %s %d.%d" % (
        (sys.implementation.name,) + tuple(sys.version_info[:2])))
import json, os, types
def read(size):
    data = b""
    while len(data) < size:
        piece = os.read(3, size - len(data))
        if not piece:
            sys.exit("the control pipe ended before the set-up frame")
        data += piece
    return data
setup = json.loads(read(int.from_bytes(read(4), "big")))
harness = types.ModuleType("molt_harness")
harness.__file__, harness.own_module = setup["harness_name"], harness
exec(compile(setup["harness"], harness.__file__, "exec"), harness.__dict__)
harness.serve(3, 4, setup)
`

// setup is the first frame: the sources, and what holds for the whole life of the
// process.
type setup struct {
	Harness     string `json:"harness"`
	HarnessName string `json:"harness_name"`
	Policy      string `json:"policy"`
	PolicyName  string `json:"policy_name"`
	OutputCap   int    `json:"output_cap"`
	JobDir      string `json:"job_dir"`
}
