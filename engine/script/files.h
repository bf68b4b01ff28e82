/* The files that one script was made from: itself and what it reads from data/ and lib/. What they were like
 * is kept, so that it can be asked whether one has changed since; so are files that it asked for in vain.
 * Thread safe: a handler may read a file while another thread looks for changes. */
#ifndef LUNETTE_SCRIPT_FILES_H
#define LUNETTE_SCRIPT_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct script_files;

struct script_files *script_files_new(void); /* NULL without memory */
void script_files_free(struct script_files *files);

/* `status` is from before the contents were read, or NULL if there is no such file. The first word about a
 * path counts. */
void script_files_note(struct script_files *files, const char *path, const struct stat *status,
                       const void *bytes, size_t size);

/* Path of one that is not as it was, NULL if all are. A file that was touched but says the same is as it was.
 */
const char *script_files_changed(struct script_files *files);

/* Up to `max` paths, good for the life of `files`; returns how many. */
uint32_t script_files_list(struct script_files *files, const char **paths, uint32_t max);

#endif
