/** The routes of jobs; streams of events stand beside them under `events/`. */
import type { Route } from '../route';
import {
  cancelJobRoute,
  type ControlJobDeps,
  pauseJobRoute,
  resumeJobRoute,
  startJobRoute,
} from './control-job';
import { type CreateJobDeps, createJobRoute } from './create-job';
import { deleteJobRoute } from './delete-job';
import { type ListItemsDeps, listItemsRoute } from './list-items';
import { type PutItemsDeps, putItemsRoute } from './put-items';
import { getJobRoute, getProgressRoute, getSummaryRoute, listJobsRoute, type ReadJobDeps } from './read-job';
import { type GetResultsDeps, getResultsRoute } from './results/get-results';
import { type RetryJobDeps, retryJobRoute } from './retry-job';
import { updateJobRoute } from './update-job';

export type BatchRouteDeps = CreateJobDeps &
  ControlJobDeps &
  RetryJobDeps &
  ReadJobDeps &
  ListItemsDeps &
  PutItemsDeps &
  GetResultsDeps;

export function batchRoutes(deps: BatchRouteDeps): Route[] {
  return [
    createJobRoute(deps),
    listJobsRoute(deps),
    getJobRoute(deps),
    updateJobRoute(deps),
    deleteJobRoute(),
    putItemsRoute(deps),
    listItemsRoute(deps),
    startJobRoute(deps),
    pauseJobRoute(deps),
    resumeJobRoute(deps),
    cancelJobRoute(deps),
    retryJobRoute(deps),
    getProgressRoute(deps),
    getResultsRoute(deps),
    getSummaryRoute(deps),
  ];
}
