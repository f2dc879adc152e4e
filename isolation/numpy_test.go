package isolation

import (
	"testing"

	"github.com/seed-0f8c9bb6/molt/isolation/pyenv"
	"github.com/seed-0f8c9bb6/molt/pyproc"
)

// TestNumpy: extension modules can't be imported a second time into one process, so
// that every mode has to let job after job use the one that is there; at most the first
// import may cost an interpreter.
func TestNumpy(t *testing.T) {
	t.Parallel()
	python := pyenv.With(t, pyenv.Numpy)
	for _, mode := range everyProgram {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			r := newRowWith(t, mode, func(s *pyproc.Spec) { s.Python = python })
			prints("15.0\n")(t, r.do(code("import numpy", "print(numpy.arange(6, dtype=float).sum())")))
			first := len(r.replaced)
			for range 3 {
				prints("[[1 1]\n [1 1]]\n")(t, r.do(code("import numpy as np", "print(np.ones((2, 2), dtype=int))", "np.set_printoptions(precision=2); np.seterr(all='raise'); np.random.seed(1)")))
				value("3", "3")(t, r.do(code("import numpy.linalg as l", "int(l.det([[3, 0], [0, 1]]) + .5)")))
				raised("ValueError", "shapes", 2)(t, r.do(code("import numpy", "numpy.ones(3) + numpy.ones(4)")))
			}
			if first > 1 || len(r.replaced) > first {
				t.Errorf("the interpreter was replaced: %q", r.replaced)
			}
		})
	}
}
