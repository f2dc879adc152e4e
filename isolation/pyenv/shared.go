package pyenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ForAll returns an interpreter that every user of the machine can run: Base, unless it
// lies in a private directory such as root's home, else the system's own.
func ForAll(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var tried []string
	for _, python := range []string{Base(), "/usr/bin/python3", "/usr/local/bin/python3"} {
		out, err := exec.CommandContext(ctx, python, "-I", "-c", "import os, sys; print(os.path.realpath(sys.executable))").Output()
		if err != nil {
			tried = append(tried, python+" does not run")
			continue
		}
		path := strings.TrimSpace(string(out))
		private := privateAbove(path)
		if private == "" {
			return path
		}
		tried = append(tried, python+" lies in "+private)
	}
	t.Fatalf("no Python can be run by every user (%s): install one for all, such as apt-get install python3", strings.Join(tried, "; "))
	return ""
}

// privateAbove names the directory on the way to a path that others may not enter, or "".
func privateAbove(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o001 == 0 {
			return dir
		}
		if dir == "/" {
			return ""
		}
	}
}
