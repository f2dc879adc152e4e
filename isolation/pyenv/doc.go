// Package pyenv makes the Python environments that tests need: a virtual environment
// with pinned packages for a given interpreter, installed once and kept in the user's
// cache directory. Only tests import it.
package pyenv
