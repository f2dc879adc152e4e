// Package hostile has the jobs that every mode must survive without harm to the worker or
// to the next job, and what each mode makes of them. Only tests import it.
package hostile
