"""shared: every job in the same process, each in a fresh `__main__`.

Nothing else is put back: modules, sys and the environment are as the last job left them.
Without the builtins no job could run, so that a process which lacks one is given up.
"""

names_of_builtins = vars(harness.builtins_module)
builtins_count = len(names_of_builtins)


def run(job):
    done = harness.run_in_process(job, execute)
    if len(names_of_builtins) < builtins_count:
        job.taint("builtins were deleted")
    return done


def execute(job, done):
    main = harness.new_main(job)
    harness.run_code(job, done, main)
    return main
