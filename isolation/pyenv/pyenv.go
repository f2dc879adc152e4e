package pyenv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// What tests install. The versions have wheels for CPython 3.10 to 3.13.
const (
	Numpy            = "numpy==2.2.6"
	RestrictedPython = "RestrictedPython==8.4"
)

const (
	// lockPoll is how often a process looks whether another one is done installing.
	lockPoll = 50 * time.Millisecond
	// marker is the file that says that an environment is complete.
	marker = "complete"
)

// base is what an interpreter says of itself.
type base struct {
	Executable string `json:"executable"`
	Version    string `json:"version"`
	Tag        string `json:"tag"`
}

// Make returns the path of an interpreter that runs as the given one does (a path, or a
// name looked up in PATH) and has the packages, each as "name==version". The first call
// on a machine downloads them; processes that ask at the same time wait for the one
// that installs. The error says what is missing.
func Make(ctx context.Context, python string, packages ...string) (string, error) {
	b, err := describe(ctx, python)
	if err != nil {
		return "", err
	}
	dir, err := directory(b, packages)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("cannot keep Python environments: %w: set XDG_CACHE_HOME to a directory that can be written", err)
	}
	lock := flock.New(dir + ".lock")
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return "", fmt.Errorf("cannot lock the Python environment %s: %w", dir, err)
	}
	defer lock.Unlock()
	made := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
		if _, err := os.Stat(made); err == nil {
			return made, nil
		}
	}
	if err := install(ctx, b, dir, packages); err != nil {
		_ = os.RemoveAll(dir) // it is not used without its marker
		return "", fmt.Errorf("cannot make a Python environment with %s: %w", strings.Join(packages, ", "), err)
	}
	return made, os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}

// describe asks the interpreter what it is; wrapper scripts are looked through.
func describe(ctx context.Context, python string) (base, error) {
	const ask = `import json, os, sys
print(json.dumps({"executable": os.path.realpath(sys.executable), "version": sys.version, "tag": "python%d.%d" % sys.version_info[:2]}))`
	var b base
	out, err := run(ctx, python, "-I", "-c", ask)
	if err == nil {
		err = json.Unmarshal(out, &b)
	}
	if err != nil {
		return b, fmt.Errorf("cannot ask %s what it is: %w: install CPython 3.10 or newer", python, err)
	}
	return b, nil
}

// directory is where the environment is kept: one for each interpreter and set of
// packages.
func directory(b base, packages []string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot keep Python environments: %w: set HOME or XDG_CACHE_HOME", err)
	}
	sorted := slices.Sorted(slices.Values(packages))
	sum := sha256.Sum256([]byte(b.Executable + "\n" + b.Version + "\n" + strings.Join(sorted, "\n")))
	return filepath.Join(cache, "molt", "test-pythons", b.Tag+"-"+hex.EncodeToString(sum[:8])), nil
}

// install makes the environment anew. Debian's python3 has pip apart, and ensurepip
// apart from that, so either will do.
func install(ctx context.Context, b base, dir string, packages []string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := run(ctx, b.Executable, "-I", "-m", "venv", "--without-pip", dir); err != nil {
		return fmt.Errorf("%w: install the module venv (apt-get install python3-venv)", err)
	}
	made := filepath.Join(dir, "bin", "python")
	pip := []string{b.Executable, "-I", "-m", "pip", "install", "--target", filepath.Join(dir, "lib", b.Tag, "site-packages")}
	if _, err := run(ctx, b.Executable, "-I", "-m", "pip", "--version"); err != nil {
		if _, err := run(ctx, made, "-I", "-m", "ensurepip"); err != nil {
			return fmt.Errorf("%w: install pip (apt-get install python3-pip, or python3-venv)", err)
		}
		pip = []string{made, "-I", "-m", "pip", "install"}
	}
	pip = append(pip, "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:")
	if _, err := run(ctx, pip[0], append(pip[1:], packages...)...); err != nil {
		return fmt.Errorf("%w: make the package index reachable for pip (PIP_INDEX_URL, PIP_CERT, PIP_PROXY), or fill its cache first", err)
	}
	return nil
}

func run(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w", cmd, err)
		if last := strings.TrimSpace(said.String()); last != "" {
			err = errors.Join(err, errors.New(last))
		}
	}
	return out.Bytes(), err
}
