import { RUNTIMES, type Runtime } from '../core/event.ts';
import { type ImageRecipe, packContext, readContext, recipeOf } from '../sandbox/image-recipe.ts';

export interface OwnImages {
  readonly tags: ReadonlySet<string>;
  /** Why a build is not of one of these images; `undefined` when it is, to the byte. */
  buildFault(query: URLSearchParams, context: Buffer): string | undefined;
}

/**
 * The images that a gateway of this version and configuration builds, worked out again here: nobody's word is taken for it.
 * @param runtimesDir the folder `runtimes/` that the gateway has too
 */
export async function ownImages(
  runtimesDir: string,
  baseImages: Readonly<Record<Runtime, string>>,
): Promise<OwnImages> {
  const files = await readContext(runtimesDir);
  const recipes = RUNTIMES.map((runtime) => recipeOf(runtime, files, baseImages[runtime]));
  const own = await packContext(files);
  return {
    tags: new Set(recipes.map(({ tag }) => tag)),
    buildFault(query, context) {
      const recipe = recipes.find(({ tag }) => tag === query.get('t'));
      if (recipe === undefined) {
        return `${query.get('t')} is not an image that this version builds on these base images`;
      }
      const fault = Object.entries(expectedQuery(recipe)).find(([name, value]) => query.get(name) !== value);
      if (fault !== undefined) return `${fault[0]} must be ${fault[1]}`;
      return own.equals(context) ? undefined : 'the build context is not that of this version';
    },
  };
}

function expectedQuery({ tag, dockerfile, buildargs, labels }: ImageRecipe): Record<string, string> {
  return {
    t: tag,
    dockerfile,
    buildargs: JSON.stringify(buildargs),
    labels: JSON.stringify(labels),
    rm: 'true',
    forcerm: 'true',
  };
}
