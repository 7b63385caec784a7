/** Lower-case letters, digits, - and _, up to 64: fit for URLs, file names and task queues. */
export const HANDLER_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
