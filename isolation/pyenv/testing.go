package pyenv

import (
	"context"
	"os"
	"testing"
	"time"
)

// patience bounds an installation, which may have to wait for another one.
const patience = 5 * time.Minute

// Base is the interpreter that tests run: $MOLT_PYTHON, or python3.
func Base() string {
	if path := os.Getenv("MOLT_PYTHON"); path != "" {
		return path
	}
	return "python3"
}

// With returns Base with packages installed, each as "name==version"; a test that can't
// have them fails with what to do.
func With(t testing.TB, packages ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	python, err := Make(ctx, Base(), packages...)
	if err != nil {
		t.Fatal(err)
	}
	return python
}
