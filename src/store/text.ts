/** Text columns of some databases cannot hold it. */
export const withoutNul = (text: string) => text.replaceAll('\0', '\u{fffd}');
