/* Replays a corpus through a fuzz target, for builds without libFuzzer: so the same inputs are seen
 * by gcc and by every sanitizer. Arguments are files and folders (not their subfolders). */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX (64L << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    int rc = 1;
    uint8_t *data = NULL;
    if (fseek(f, 0, SEEK_END) != 0) {
        goto out;
    }
    long bytes = ftell(f);
    if (bytes < 0 || bytes > INPUT_BYTES_MAX || fseek(f, 0, SEEK_SET) != 0) {
        goto out;
    }
    /* Exactly the input's size, so that AddressSanitizer sees a read behind its end. */
    data = malloc(bytes > 0 ? (size_t)bytes : 1);
    if (data == NULL || fread(data, 1, (size_t)bytes, f) != (size_t)bytes) {
        goto out;
    }
    rc = LLVMFuzzerTestOneInput(data, (size_t)bytes);
out:
    if (rc != 0) {
        fprintf(stderr, "%s: not replayed\n", path);
    }
    free(data);
    fclose(f);
    return rc;
}

/* Number of inputs replayed below path, or -1. */
static long replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode)) {
        return replay_file(path) == 0 ? 1 : -1;
    }
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    long inputs = n < 0 ? -1 : 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        int len = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        int fits = len > 0 && (size_t)len < sizeof file;
        if (inputs >= 0 && fits && stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
            inputs = replay_file(file) == 0 ? inputs + 1 : -1;
        }
        free(entries[i]);
    }
    free(entries);
    return inputs;
}

int main(int argc, char **argv)
{
    long inputs = 0;
    for (int i = 1; i < argc; i++) {
        long n = replay(argv[i]);
        if (n <= 0) {
            fprintf(stderr, "%s: no inputs\n", argv[i]);
            return 1;
        }
        inputs += n;
    }
    printf("%ld inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
