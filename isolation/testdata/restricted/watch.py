"""Says of each job what of the library it changed, beside caches. Appended to the policy of
`restricted` by the tests."""


def run(job):
    done = harness.run_in_process(job, execute)
    clear_caches()
    for i in changed_dicts():
        current, copy, ignored = dicts[i], copies[i], skipped.get(id(dicts[i]), ())
        changed = [k for k in current.keys() | copy.keys()
                   if k not in ignored and current.get(k, MISSING) is not copy.get(k, MISSING)]
        if changed and current is not harness.source_cache:  # of tracebacks
            job.taint(f"changed: {changed}")
    for field, getter, column in zip(CODE_FIELDS + LABEL_FIELDS, code_getters + label_getters,
                                     function_code + function_labels):
        for function, wanted in zip(functions, column):
            if getter(function) is not wanted:
                job.taint(f"changed: {field} of {function!r}")
    if any(function_dicts):
        job.taint("changed: attributes of a function")
    for current, copy in zip(lists + sets, list_copies + set_copies):
        # sys.path is without the job's directory.
        if len(current) != len(copy) and current is not sys.path:
            job.taint(f"changed: {copy!r}")
    return done
