/** The routes of jobs; streams of events stand beside them under `events/`. */
import type { Route } from '../route';
import { cancelJobRoute, type ControlJobDeps, startJobRoute } from './control-job';
import { type CreateJobDeps, createJobRoute } from './create-job';
import { type ListItemsDeps, listItemsRoute } from './list-items';
import { type PutItemsDeps, putItemsRoute } from './put-items';
import { getJobRoute, getProgressRoute, getSummaryRoute, listJobsRoute, type ReadJobDeps } from './read-job';
import { type GetResultsDeps, getResultsRoute } from './results/get-results';

export type BatchRouteDeps = CreateJobDeps &
  ControlJobDeps &
  ReadJobDeps &
  ListItemsDeps &
  PutItemsDeps &
  GetResultsDeps;

export function batchRoutes(deps: BatchRouteDeps): Route[] {
  return [
    createJobRoute(deps),
    listJobsRoute(deps),
    getJobRoute(deps),
    putItemsRoute(deps),
    listItemsRoute(deps),
    startJobRoute(deps),
    cancelJobRoute(deps),
    getProgressRoute(deps),
    getResultsRoute(deps),
    getSummaryRoute(deps),
  ];
}
