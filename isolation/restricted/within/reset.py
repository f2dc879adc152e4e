"""restricted: the mode reset with restricted jobs.

What a restricted job can reach can't be changed by it, but for caches, so the process is
checked only after jobs that import more than the default modules.
"""

start_reset = start


def start(options):
    prepare_restriction(options)
    start_reset(options)


def execute(job, done):
    global plain, imported
    main = restricted_main(job)
    parts, imported = rewrite_job(job.code)
    plain = imported <= DEFAULT_MODULES.keys()
    if imported:
        # A context of its own: that of decimal is kept in one.
        new_context().run(harness.run_parts, parts, done, main)
    else:
        harness.run_parts(parts, done, main)
    return main
