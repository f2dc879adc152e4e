package pyproc

import (
	"embed"
	"encoding/json"
	"io/fs"
	"sync"
)

//go:embed harness/*.py
var harnessFiles embed.FS

// harnessSources returns the harness's files in the order in which they are run, each
// as its name in tracebacks and its source. The form of the names keeps linecache from
// looking for them on disk.
var harnessSources = sync.OnceValue(func() [][2]string {
	paths, _ := fs.Glob(harnessFiles, "harness/*.py") // in the order of their names
	sources := make([][2]string, len(paths))
	for i, path := range paths {
		content, err := harnessFiles.ReadFile(path)
		if err != nil {
			panic(err) // what was found in the binary can be read from it
		}
		sources[i] = [2]string{"<molt " + path + ">", string(content)}
	}
	return sources
})

// bootstrap is the command that the interpreter is started with. It is written for
// any Python 3, so that one that is too old can say so.
const bootstrap = `import sys
if sys.version_info < (3, 10) or sys.implementation.name != "cpython":
    sys.exit("molt needs CPython 3.10 or newer; this is %s %d.%d" % (
        (sys.implementation.name,) + tuple(sys.version_info[:2])))
import builtins, json, os, types
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
harness.own_module = harness
# What a job does to the builtins must not reach the harness.
harness.__builtins__ = dict(vars(builtins))
harness.INTERNAL_FILES = {name for name, source in setup["harness"]}
for name, source in setup["harness"]:
    exec(compile(source, name, "exec"), harness.__dict__)
harness.serve(3, 4, setup)
`

// setup is the first frame: the sources, and what holds for the whole life of the
// process.
type setup struct {
	Harness   [][2]string     `json:"harness"`
	Policy    [][2]string     `json:"policy"`
	Options   json.RawMessage `json:"options"`
	OutputCap int             `json:"output_cap"`
	JobDir    string          `json:"job_dir"`
	// Template is the descriptor of a template's socket; 0: it is none.
	Template int `json:"template,omitempty"`
}
