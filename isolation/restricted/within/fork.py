"""restricted+fork: the mode fork with restricted jobs."""

start_fork = start


def start(options):
    prepare_restriction(options)
    start_fork(options)


def execute(job, done):
    main = restricted_main(job)
    harness.run_parts(rewrite_job(job.code)[0], done, main)
    return main
