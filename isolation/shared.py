"""shared: every job in the same process, each in a fresh `__main__`.

Nothing else is put back: modules, sys and the environment are as the last job left them.
"""


def run(job):
    return harness.run_in_process(job, execute)


def execute(job, done):
    main = harness.new_main(job)
    harness.run_code(job, done, main)
    return main
