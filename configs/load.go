package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileBytes bounds a configuration file: a larger one was named by mistake.
const maxFileBytes = 1 << 20

// Load reads and checks the file. The error names the file, the line, the key,
// the cause and the remedy.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w: name a file with --config", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(data) > maxFileBytes {
		return Config{}, fmt.Errorf("cannot load %s: it has more than %d bytes: name a configuration file", path, maxFileBytes)
	}
	return Parse(path, data)
}

// Parse does what Load does with a file's content; file is its name in errors.
func Parse(file string, data []byte) (Config, error) {
	doc, err := parser.ParseBytes(data, 0)
	if err != nil {
		return Config{}, loadError(file, err)
	}
	cfg := Default()
	cfg.file = file
	bodies := documents(doc)
	if len(bodies) > 1 {
		return Config{}, fmt.Errorf("cannot load %s:%d: it holds a second YAML document: keep one", file, bodies[1].GetToken().Position.Line)
	}
	if len(bodies) == 1 {
		decoder := yaml.NewDecoder(strings.NewReader(string(data)), yaml.Strict())
		if err := decoder.Decode(&cfg); err != nil && !errors.Is(err, io.EOF) {
			return Config{}, loadError(file, err)
		}
		cfg.root = bodies[0]
	}
	return cfg, cfg.Validate()
}

func documents(doc *ast.File) []ast.Node {
	var bodies []ast.Node
	for _, d := range doc.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType {
			bodies = append(bodies, d.Body)
		}
	}
	return bodies
}

// loadError says on one line what the YAML library says on many.
func loadError(file string, err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		return fmt.Errorf("cannot load %s: %w", file, err)
	}
	token := e.GetToken()
	message := e.GetMessage()
	var unknown *yaml.UnknownFieldError
	var duplicate *yaml.DuplicateKeyError
	switch {
	case errors.As(err, &unknown):
		message = fmt.Sprintf("unknown key %q: check its spelling and its indentation against configs/worker.yaml", token.Value)
	case errors.As(err, &duplicate):
		message = fmt.Sprintf("key %q is there twice: keep one", token.Value)
	}
	return fmt.Errorf("cannot load %s:%d: %s", file, token.Position.Line, message)
}
