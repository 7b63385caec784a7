/** The bundle's entry: every workflow, by the name that is its type. */
export { batchJob } from './batch/workflow';
