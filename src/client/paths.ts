/** The paths of routes, as the client, the command line and the dashboard call them. */

export const operatorPath = (operator: string): string => `/v1/operators/${encodeURIComponent(operator)}`;

export const partitionPath = (operator: string, partition: number): string =>
  `${operatorPath(operator)}/partitions/${partition}`;

export const SAVEPOINTS_PATH = "/v1/savepoints";

export const savepointPath = (name: string): string => `${SAVEPOINTS_PATH}/${encodeURIComponent(name)}`;
